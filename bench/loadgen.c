/* MQTT 3.1.1 QoS 1 load: `-d` devices over `-c` connections, each with a window of `-w` messages that
 * are not yet acknowledged. Device i publishes on connection i % c only, so its order is defined.
 * Every message carries the present time, its number and three quantities (`-b` readings a message:
 * an array of as many, a millisecond apart). Every `-u`-th device is a river gauge (urgent lane), the
 * others are paddy nodes (routine). Of each `-f` devices one gauge and one node swing their first
 * quantity up or down every `-s` ms, so that rules fire; the others stay calm.
 *
 * Told what to do on stdin, a line each: `run SECONDS RATE` (messages a second; 0: as fast as the
 * broker answers), `allow N` (send no more than N messages in all until told otherwise). Ends at the
 * end of stdin. Answers on stdout, a JSON object a line: twice a second how far it is, and one with
 * "done": true when all that was sent in a run is acknowledged. All counts are since the start.
 */
#define _GNU_SOURCE
#include "wire.h"
#include <poll.h>

enum { OUT_BYTES = 64 * 1024, IN_BYTES = 64 * 1024, MOST_READINGS = 50, PATIENCE_S = 120 };

struct connection {
  struct wire wire;
  int in_flight, next_device;
  uint16_t packet_id;
  uint32_t round;
  long sent, acknowledged;
  int64_t newest_at, previous_round_at; /* times used: so far, and up to the end of the last round */
  int out_length, out_done, in_length;
  uint8_t out[OUT_BYTES], in[IN_BYTES];
};

static int connections = 50, window = 400, devices = 20000, urgent_every = 20, fire_every = 1000,
           readings = 1, frame_bytes, swing_ms = 10000, is_over;
static long allowed = 1L << 40, sent_urgent, crossings[2]; /* routine, urgent */
static uint8_t *is_high;
static double newest_progress;

static int64_t utc_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 1.0 or 2.8 for a device that swings, which is no spike for a gauge; else nearly constant. */
static double level_of(int device, uint32_t round, int64_t at_ms) {
  int is_urgent = device % urgent_every == 0;
  if (device % fire_every != !is_urgent) return 1.0 + (round % 100) * 0.001;
  uint8_t high = (at_ms + device * 997L) / swing_ms % 2;
  if (high != is_high[device]) is_high[device] = high, crossings[is_urgent]++;
  return 1.0 + high * 1.8;
}

static int put_reading(char *at, int64_t at_ms, uint32_t number, int is_urgent, double level) {
  return sprintf(at,
                 "{\"t\":%lld,\"n\":%u,\"v\":{\"%s\":%.3f,\"battery.voltage\":3.605,"
                 "\"radio.rssi\":-97}}",
                 (long long)at_ms, number, is_urgent ? "water.level" : "paddy.depth",
                 is_urgent ? level : level / 4);
}

static int put_payload(struct connection *c, char *at, int device, int is_urgent) {
  int64_t first_at = utc_ms() - (readings - 1);
  if (first_at <= c->previous_round_at) first_at = c->previous_round_at + 1; /* no time twice */
  if (first_at + readings - 1 > c->newest_at) c->newest_at = first_at + readings - 1;
  double level = level_of(device, c->round, first_at);
  uint32_t number = c->round * readings;
  if (readings == 1) return put_reading(at, first_at, number, is_urgent, level);
  int n = 0;
  for (int k = 0; k < readings; k++) {
    at[n++] = k ? ',' : '[';
    n += put_reading(at + n, first_at + k, number + k, is_urgent, level);
  }
  at[n++] = ']';
  return n;
}

/* One PUBLISH of the connection's next device into `at`; returns its length. */
static int put_message(struct connection *c, uint8_t *at) {
  static char payload[MOST_READINGS * 160];
  int device = c->next_device, is_urgent = device % urgent_every == 0, n = 0;
  char topic[64];
  int topic_length = snprintf(topic, sizeof topic, "field/v1/%s/load-%05d/up",
                              is_urgent ? "river-gauge" : "paddy-node", device);
  int payload_length = put_payload(c, payload, device, is_urgent);
  at[n++] = 0x32;
  n += put_length(at + n, 2 + topic_length + 2 + payload_length);
  at[n++] = topic_length >> 8, at[n++] = topic_length;
  memcpy(at + n, topic, topic_length), n += topic_length;
  at[n++] = c->packet_id >> 8, at[n++] = c->packet_id;
  memcpy(at + n, payload, payload_length), n += payload_length;
  sent_urgent += is_urgent;
  if (++c->packet_id == 0) c->packet_id = 1;
  c->next_device += connections;
  if (c->next_device >= devices) {
    c->next_device %= connections, c->round++;
    c->previous_round_at = c->newest_at;
  }
  return n;
}

static void fill(struct connection *c, long share) {
  while (c->sent < share && c->in_flight < window && c->out_length + frame_bytes <= OUT_BYTES) {
    c->out_length += put_message(c, c->out + c->out_length);
    c->sent++, c->in_flight++;
  }
}

static void flush(struct connection *c) {
  if (c->out_done == c->out_length) return;
  c->out_done += wire_write(&c->wire, c->out + c->out_done, c->out_length - c->out_done);
  if (c->out_done == c->out_length) c->out_done = c->out_length = 0;
}

static void take_answers(struct connection *c) {
  do {
    c->in_length += wire_read(&c->wire, c->in + c->in_length, IN_BYTES - c->in_length);
    int at = 0;
    for (; c->in_length - at >= 4; at += 2 + c->in[at + 1])
      if (c->in[at] >> 4 == 4) c->in_flight--, c->acknowledged++;
    memmove(c->in, c->in + at, c->in_length - at);
    c->in_length -= at;
  } while (c->wire.is_readable_again);
}

static void report(struct connection *all, double began, double end, int is_done) {
  long sent = 0, acknowledged = 0;
  for (int i = 0; i < connections; i++) sent += all[i].sent, acknowledged += all[i].acknowledged;
  printf("{\"done\":%s,\"sent\":%ld,\"sent_urgent\":%ld,\"acknowledged\":%ld,\"began\":%.6f,"
         "\"ended\":%.6f,\"crossings\":{\"urgent\":%ld,\"routine\":%ld},\"connections\":[",
         is_done ? "true" : "false", sent, sent_urgent, acknowledged, began, end, crossings[1],
         crossings[0]);
  for (int i = 0; i < connections && is_done; i++)
    printf("%s%ld", i ? "," : "", all[i].acknowledged);
  printf("]}\n");
  fflush(stdout);
  newest_progress = end;
}

/* A whole line of stdin, if there is one: `run` fills in seconds and rate and returns 1. */
static int take_order(double *seconds, double *rate, int is_patient) {
  static char line[128];
  static int length;
  struct pollfd in = {0, POLLIN, 0};
  while (!is_over && (is_patient || poll(&in, 1, 0) > 0)) {
    if (read(0, line + length, 1) <= 0) return is_over = 1, 0;
    if (line[length] != '\n') {
      if (++length == sizeof line) fprintf(stderr, "an order is too long\n"), exit(2);
      continue;
    }
    line[length] = 0, length = 0;
    if (sscanf(line, "run %lf %lf", seconds, rate) == 2) return 1;
    if (sscanf(line, "allow %ld", &allowed) != 1) fprintf(stderr, "unknown: %s\n", line), exit(2);
  }
  return 0;
}

static void run(struct connection *all, struct pollfd *polled, double seconds, double rate) {
  double began = monotonic(), end = began, unused;
  long before = 0;
  for (int i = 0; i < connections; i++) before += all[i].sent;
  for (long open = 1; open || monotonic() - began < seconds;) {
    double passed = monotonic() - began;
    take_order(&unused, &unused, 0);
    long total = passed >= seconds ? 0 : allowed;
    if (rate > 0 && before + (long)(passed * rate) < total) total = before + (long)(passed * rate);
    open = 0;
    for (int i = 0; i < connections; i++) {
      struct connection *c = all + i;
      fill(c, total / connections + (i < total % connections));
      flush(c);
      polled[i].events = POLLIN | (c->out_length > c->out_done ? POLLOUT : 0);
      open += c->in_flight;
    }
    if (passed > seconds + PATIENCE_S) fprintf(stderr, "%ld not acknowledged\n", open), exit(5);
    usleep(1000);
    if (poll(polled, connections, rate > 0 || !open ? 1 : 20) < 0) fail("poll");
    for (int i = 0; i < connections; i++)
      if (polled[i].revents & (POLLIN | POLLHUP | POLLERR)) take_answers(all + i), end = monotonic();
    if (monotonic() - newest_progress > 0.5) report(all, began, monotonic(), 0);
  }
  report(all, began, end, 1);
}

static void options(int argc, char **argv) {
  for (int o; (o = getopt(argc, argv, "p:c:w:d:u:f:s:b:U:P:A:")) != -1;) switch (o) {
      case 'p': port = atoi(optarg); break;
      case 'c': connections = atoi(optarg); break;
      case 'w': window = atoi(optarg); break;
      case 'd': devices = atoi(optarg); break;
      case 'u': urgent_every = atoi(optarg); break;
      case 'f': fire_every = atoi(optarg); break;
      case 's': swing_ms = atoi(optarg); break;
      case 'b': readings = atoi(optarg); break;
      case 'U': user = optarg; break;
      case 'P': password = optarg; break;
      case 'A': authority = optarg; break;
      default: exit(2);
    }
  if (readings < 1 || readings > MOST_READINGS) fprintf(stderr, "-b 1..%d\n", MOST_READINGS), exit(2);
}

int main(int argc, char **argv) {
  options(argc, argv);
  frame_bytes = 96 + readings * 128;
  is_high = calloc(devices, 1);
  struct connection *all = calloc(connections, sizeof *all);
  struct pollfd *polled = calloc(connections, sizeof *polled);
  for (int i = 0; i < connections; i++) {
    char name[48];
    snprintf(name, sizeof name, "load-%d-%d", getpid(), i);
    log_in(&all[i].wire, name, 1);
    all[i].packet_id = 1, all[i].next_device = i;
    polled[i].fd = all[i].wire.fd;
  }
  printf("{\"ready\":true}\n");
  fflush(stdout);
  for (double seconds, rate; !is_over;)
    if (take_order(&seconds, &rate, 1)) run(all, polled, seconds, rate);
  return 0;
}

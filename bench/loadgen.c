/* MQTT 3.1.1 QoS 1 load: `-d` devices over `-c` connections, each with a window of `-w` messages that
 * are not yet acknowledged. Device i publishes on connection i % c only, so its order is defined.
 * Every message carries the present time, its round as sequence number and three quantities; every
 * `-f`-th device swings its first quantity so that rules fire, the others stay calm. Every `-u`-th
 * device is a river gauge (urgent lane), the others are paddy nodes (routine).
 * Prints one JSON object: messages sent and acknowledged, seconds, rounds that each device completed.
 *
 *   cc -O2 -o loadgen loadgen.c
 *   loadgen -p PORT -U user -P password -d 20000 -c 50 -w 400 -t 60 [-r messages_per_second] [-n messages]
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { OUT_BYTES = 64 * 1024, IN_BYTES = 64 * 1024, FRAME_BYTES = 256 };

struct connection {
  int fd, in_flight, next_device;
  uint16_t packet_id;
  uint32_t round;
  long sent, acknowledged;
  int64_t newest_at, previous_round_at; /* times used: so far, and up to the end of the last round */
  int out_length, out_done, in_length;
  uint8_t out[OUT_BYTES], in[IN_BYTES];
};

static int port = 1883, connections = 50, window = 400, devices = 20000, urgent_every = 20,
           fire_every = 1000;
static double seconds = 60, rate = 0;
static long limit = 0;
static const char *user = "", *password = "";

static double monotonic(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static int64_t utc_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void fail(const char *what) {
  perror(what);
  exit(2);
}

static int put_text(uint8_t *at, const char *text) {
  int length = (int)strlen(text);
  at[0] = length >> 8, at[1] = length;
  memcpy(at + 2, text, length);
  return length + 2;
}

static void log_in(struct connection *c, int number) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(c->fd, (void *)&address, sizeof address)) fail("connect");
  int one = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  uint8_t body[512];
  char name[48];
  snprintf(name, sizeof name, "load-%d-%d", getpid(), number);
  int n = put_text(body, "MQTT");
  body[n++] = 4, body[n++] = 2 | (*user ? 0xC0 : 0), body[n++] = 0, body[n++] = 0;
  n += put_text(body + n, name);
  if (*user) n += put_text(body + n, user), n += put_text(body + n, password);
  uint8_t frame[600] = {0x10};
  int head = 1;
  if (n < 128) frame[head++] = n;
  else frame[head++] = (n & 127) | 128, frame[head++] = n >> 7;
  memcpy(frame + head, body, n);
  if (write(c->fd, frame, head + n) != head + n) fail("connect packet");
  uint8_t answer[4];
  for (int got = 0; got < 4;) {
    int k = read(c->fd, answer + got, 4 - got);
    if (k <= 0) fail("connack");
    got += k;
  }
  if (answer[3]) fprintf(stderr, "refused: connack %d\n", answer[3]), exit(3);
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  c->packet_id = 1, c->next_device = number;
}

/* One PUBLISH of the connection's next device into `at`; returns its length. */
static int put_message(struct connection *c, uint8_t *at) {
  int device = c->next_device;
  int is_urgent = device % urgent_every == 0, fires = device % fire_every == 0;
  double level = fires ? 1.0 + (c->round / 20 % 2) * 3.0 : 1.0 + (c->round % 100) * 0.001;
  int64_t at_ms = utc_ms(); /* no device uses a time twice, however small its round */
  if (at_ms <= c->previous_round_at) at_ms = c->previous_round_at + 1;
  if (at_ms > c->newest_at) c->newest_at = at_ms;
  char topic[64], payload[192];
  int topic_length = snprintf(topic, sizeof topic, "field/v1/%s/load-%05d/up",
                              is_urgent ? "river-gauge" : "paddy-node", device);
  int payload_length = snprintf(
      payload, sizeof payload,
      "{\"t\":%lld,\"n\":%u,\"v\":{\"%s\":%.3f,\"battery.voltage\":3.605,\"radio.rssi\":-97}}",
      (long long)at_ms, c->round, is_urgent ? "water.level" : "paddy.depth",
      is_urgent ? level : level / 4);
  int rest = 2 + topic_length + 2 + payload_length, n = 0;
  at[n++] = 0x32;
  if (rest < 128) at[n++] = rest;
  else at[n++] = (rest & 127) | 128, at[n++] = rest >> 7;
  at[n++] = topic_length >> 8, at[n++] = topic_length;
  memcpy(at + n, topic, topic_length), n += topic_length;
  at[n++] = c->packet_id >> 8, at[n++] = c->packet_id;
  memcpy(at + n, payload, payload_length), n += payload_length;
  if (++c->packet_id == 0) c->packet_id = 1;
  c->next_device += connections;
  if (c->next_device >= devices) {
    c->next_device %= connections, c->round++;
    c->previous_round_at = c->newest_at;
  }
  return n;
}

static void fill(struct connection *c, long allowed) {
  while (c->sent < allowed && c->in_flight < window && c->out_length + FRAME_BYTES <= OUT_BYTES) {
    c->out_length += put_message(c, c->out + c->out_length);
    c->sent++, c->in_flight++;
  }
}

static void flush(struct connection *c) {
  if (c->out_done == c->out_length) return;
  int k = write(c->fd, c->out + c->out_done, c->out_length - c->out_done);
  if (k < 0 && errno != EAGAIN) fail("write");
  if (k > 0) c->out_done += k;
  if (c->out_done == c->out_length) c->out_done = c->out_length = 0;
}

static void take_answers(struct connection *c) {
  int k = read(c->fd, c->in + c->in_length, IN_BYTES - c->in_length);
  if (k == 0 || (k < 0 && errno != EAGAIN)) fprintf(stderr, "closed by the broker\n"), exit(4);
  if (k < 0) return;
  c->in_length += k;
  int at = 0;
  for (; c->in_length - at >= 4; at += 2 + c->in[at + 1])
    if (c->in[at] >> 4 == 4) c->in_flight--, c->acknowledged++;
  memmove(c->in, c->in + at, c->in_length - at);
  c->in_length -= at;
}

static void options(int argc, char **argv) {
  for (int o; (o = getopt(argc, argv, "p:c:w:d:u:f:t:r:n:U:P:")) != -1;) switch (o) {
      case 'p': port = atoi(optarg); break;
      case 'c': connections = atoi(optarg); break;
      case 'w': window = atoi(optarg); break;
      case 'd': devices = atoi(optarg); break;
      case 'u': urgent_every = atoi(optarg); break;
      case 'f': fire_every = atoi(optarg); break;
      case 't': seconds = atof(optarg); break;
      case 'r': rate = atof(optarg); break;
      case 'n': limit = atol(optarg); break;
      case 'U': user = optarg; break;
      case 'P': password = optarg; break;
      default: exit(2);
    }
}

int main(int argc, char **argv) {
  options(argc, argv);
  struct connection *all = calloc(connections, sizeof *all);
  struct pollfd *polled = calloc(connections, sizeof *polled);
  for (int i = 0; i < connections; i++) log_in(all + i, i), polled[i].fd = all[i].fd;
  double begin = monotonic(), end = begin;
  for (;;) {
    double passed = monotonic() - begin;
    long total = passed >= seconds ? 0 : limit ? limit : 1L << 40;
    if (total && rate > 0 && (long)(passed * rate) < total) total = (long)(passed * rate);
    long sent = 0, open = 0;
    for (int i = 0; i < connections; i++) {
      struct connection *c = all + i;
      long share = total / connections + (i < total % connections);
      fill(c, share);
      flush(c);
      polled[i].events = POLLIN | (c->out_length > c->out_done ? POLLOUT : 0);
      sent += c->sent, open += c->in_flight;
    }
    if (!open && (passed >= seconds || (limit && sent >= limit))) break;
    if (passed > seconds + 120) break;
    usleep(1000);
    if (poll(polled, connections, rate > 0 ? 1 : 20) < 0) fail("poll");
    for (int i = 0; i < connections; i++)
      if (polled[i].revents & (POLLIN | POLLHUP | POLLERR)) take_answers(all + i);
    end = monotonic();
  }
  long sent = 0, acknowledged = 0;
  for (int i = 0; i < connections; i++) sent += all[i].sent, acknowledged += all[i].acknowledged;
  printf("{\"sent\":%ld,\"acknowledged\":%ld,\"seconds\":%.3f,\"connections\":[", sent, acknowledged,
         end - begin);
  for (int i = 0; i < connections; i++) printf("%s%ld", i ? "," : "", all[i].acknowledged);
  printf("]}\n");
  return 0;
}

/* The ceiling: a consumer that does nothing but read and acknowledge. MQTT 3.1.1 at QoS 1, sessions
 * that are kept, one connection for each argument `client-id=filter,filter,…`; all PUBACKs of what one
 * read brought go out in one write, in order of arrival, `-b` at most.
 *
 * Prints `{"ready": true}` when all is subscribed, then twice a second how many messages came. Told
 * `until N` on stdin, it ends when N messages are acknowledged and the broker has answered a ping
 * after that; the last line has "done": true and when the last message was
 * acknowledged (CLOCK_MONOTONIC, seconds).
 */
#define _GNU_SOURCE
#include "wire.h"
#include <poll.h>

enum { IN_BYTES = 1 << 20, MOST_CONNECTIONS = 8 };

struct connection {
  struct wire wire;
  int in_length, out_length, is_subscribed, is_pinged;
  uint8_t in[IN_BYTES], out[IN_BYTES];
};

static int batch = 4096, connections;
static long messages, repeated, wanted = -1;
static double newest_at; /* when the newest message was acknowledged */

static void send_out(struct connection *c) {
  for (int done = 0; done < c->out_length;) {
    int k = wire_write(&c->wire, c->out + done, c->out_length - done);
    if (!k) poll(&(struct pollfd){c->wire.fd, POLLOUT, 0}, 1, 100);
    done += k;
  }
  c->out_length = 0;
}

static void subscribe(struct connection *c, char *filters) {
  uint8_t body[8192];
  int n = 0;
  body[n++] = 0, body[n++] = 1;
  for (char *filter = strtok(filters, ","); filter; filter = strtok(NULL, ","))
    n += put_text(body + n, filter), body[n++] = 1;
  c->out[0] = 0x82;
  c->out_length = 1 + put_length(c->out + 1, n);
  memcpy(c->out + c->out_length, body, n);
  c->out_length += n;
  send_out(c);
}

static void take_packet(struct connection *c, int type, const uint8_t *body, int length) {
  int topic_length;
  switch (type >> 4) {
    case 3:
      messages++, repeated += type >> 3 & 1;
      if (!(type & 6)) break;
      topic_length = body[0] << 8 | body[1];
      c->out[c->out_length] = 0x40, c->out[c->out_length + 1] = 2;
      memcpy(c->out + c->out_length + 2, body + 2 + topic_length, 2);
      c->out_length += 4;
      if (c->out_length >= 4 * batch) send_out(c);
      break;
    case 9:
      for (const uint8_t *code = body + 2; code < body + length; code++)
        if (*code > 2) fprintf(stderr, "a subscription is refused\n"), exit(3);
      c->is_subscribed = 1;
      break;
    case 13: c->is_pinged = 1; break;
  }
}

static void take_in(struct connection *c) {
  do {
    c->in_length += wire_read(&c->wire, c->in + c->in_length, IN_BYTES - c->in_length);
    int at = 0;
    while (c->in_length - at >= 2) {
      int length = 0, head = 1, shift = 0, is_whole = 0;
      for (; head < 5 && at + head < c->in_length && !is_whole; head++, shift += 7)
        length |= (c->in[at + head] & 127) << shift, is_whole = !(c->in[at + head] & 128);
      if (!is_whole || c->in_length - at < head + length) break;
      take_packet(c, c->in[at], c->in + at + head, length);
      at += head + length;
    }
    memmove(c->in, c->in + at, c->in_length - at);
    c->in_length -= at;
    if (c->out_length) send_out(c), newest_at = monotonic();
  } while (c->wire.is_readable_again);
}

static void look_around(struct connection *all, struct pollfd *polled, int patience_ms) {
  if (poll(polled, connections + 1, patience_ms) < 0) fail("poll");
  for (int i = 0; i < connections; i++)
    if (polled[i].revents & (POLLIN | POLLHUP | POLLERR)) take_in(all + i);
}

static void take_order(void) {
  char line[128];
  int k = (int)read(0, line, sizeof line - 1);
  if (k <= 0) exit(0); /* nobody waits for us any more */
  line[k] = 0;
  if (sscanf(line, "until %ld", &wanted) != 1) fprintf(stderr, "unknown: %s\n", line), exit(2);
}

static void report(int is_done) {
  printf("{\"done\":%s,\"messages\":%ld,\"repeated\":%ld,\"at\":%.6f}\n", is_done ? "true" : "false",
         messages, repeated, newest_at);
  fflush(stdout);
}

int main(int argc, char **argv) {
  for (int o; (o = getopt(argc, argv, "p:b:U:P:A:")) != -1;) switch (o) {
      case 'p': port = atoi(optarg); break;
      case 'b': batch = atoi(optarg); break;
      case 'U': user = optarg; break;
      case 'P': password = optarg; break;
      case 'A': authority = optarg; break;
      default: exit(2);
    }
  connections = argc - optind;
  if (connections < 1 || connections > MOST_CONNECTIONS) fprintf(stderr, "1..8 clients\n"), exit(2);
  struct connection *all = calloc(connections, sizeof *all);
  struct pollfd polled[MOST_CONNECTIONS + 1];
  for (int i = 0; i < connections; i++) {
    char *filters = strchr(argv[optind + i], '=');
    if (!filters) fprintf(stderr, "client-id=filter,… is expected\n"), exit(2);
    *filters++ = 0;
    log_in(&all[i].wire, argv[optind + i], 0);
    subscribe(all + i, filters);
    polled[i] = (struct pollfd){all[i].wire.fd, POLLIN, 0};
    while (!all[i].is_subscribed) poll(polled + i, 1, 100), take_in(all + i);
  }
  printf("{\"ready\":true}\n");
  fflush(stdout);
  polled[connections] = (struct pollfd){0, POLLIN, 0};
  for (double newest = monotonic(); wanted < 0 || messages < wanted;) {
    look_around(all, polled, 200);
    if (polled[connections].revents) take_order();
    if (monotonic() - newest > 0.5) report(0), newest = monotonic();
  }
  for (int i = 0; i < connections; i++) {
    all[i].out[0] = 0xC0, all[i].out[1] = 0, all[i].out_length = 2;
    send_out(all + i);
    while (!all[i].is_pinged) look_around(all, polled, 200);
  }
  report(1);
  return 0;
}

/* What the load generator and the sink share: a connection to an MQTT 3.1.1 broker, plain or TLS
 * (with -DWITH_TLS and OpenSSL), and CONNECT. Failures end the process with a sentence. */
#ifndef SATOMORI_BENCH_WIRE_H
#define SATOMORI_BENCH_WIRE_H
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
static SSL_CTX *tls_context;
#endif

struct wire {
  int fd;
  int is_readable_again; /* TLS holds bytes that poll does not see */
#ifdef WITH_TLS
  SSL *tls;
#endif
};

static const char *user = "", *password = "", *authority = "";
static int port = 1883;

static double monotonic(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
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

/* The remaining length of a packet as its variable-length integer; returns its size. */
static int put_length(uint8_t *at, int length) {
  int n = 0;
  do {
    at[n] = length & 127, length >>= 7;
    if (length) at[n] |= 128;
    n++;
  } while (length);
  return n;
}

/* Bytes written, 0 when the other side is slow; ends the process when it is gone. */
static int wire_write(struct wire *w, const uint8_t *from, int length) {
#ifdef WITH_TLS
  if (w->tls) {
    int k = SSL_write(w->tls, from, length);
    if (k > 0) return k;
    int error = SSL_get_error(w->tls, k);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return 0;
    fail("TLS write");
  }
#endif
  int k = (int)write(w->fd, from, length);
  if (k < 0 && errno != EAGAIN) fail("write");
  return k < 0 ? 0 : k;
}

/* Bytes read, 0 when there are none yet; ends the process when the broker closed. */
static int wire_read(struct wire *w, uint8_t *into, int length) {
  int k;
#ifdef WITH_TLS
  if (w->tls) {
    k = SSL_read(w->tls, into, length);
    w->is_readable_again = SSL_pending(w->tls) > 0;
    if (k > 0) return k;
    int error = SSL_get_error(w->tls, k);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return 0;
    fprintf(stderr, "closed by the broker\n"), exit(4);
  }
#endif
  k = (int)read(w->fd, into, length);
  if (k == 0 || (k < 0 && errno != EAGAIN)) fprintf(stderr, "closed by the broker\n"), exit(4);
  return k < 0 ? 0 : k;
}

static void begin_tls(struct wire *w) {
#ifdef WITH_TLS
  if (!*authority) return;
  if (!tls_context) {
    tls_context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_mode(tls_context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(tls_context, SSL_VERIFY_PEER, NULL);
    if (!SSL_CTX_load_verify_locations(tls_context, authority, NULL)) fail(authority);
  }
  w->tls = SSL_new(tls_context);
  SSL_set_fd(w->tls, w->fd);
  if (SSL_connect(w->tls) != 1) ERR_print_errors_fp(stderr), exit(3);
#else
  (void)w;
  if (*authority) fprintf(stderr, "built without TLS\n"), exit(3);
#endif
}

/* Connect and log in as client `name`; a session that is kept has `is_clean` 0. */
static void log_in(struct wire *w, const char *name, int is_clean) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  w->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(w->fd, (void *)&address, sizeof address)) fail("connect");
  int one = 1;
  setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  begin_tls(w);
  uint8_t body[512];
  int n = put_text(body, "MQTT");
  body[n++] = 4, body[n++] = (is_clean ? 2 : 0) | (*user ? 0xC0 : 0), body[n++] = 0, body[n++] = 0;
  n += put_text(body + n, name);
  if (*user) n += put_text(body + n, user), n += put_text(body + n, password);
  uint8_t frame[600] = {0x10};
  int head = 1 + put_length(frame + 1, n);
  memcpy(frame + head, body, n);
  if (wire_write(w, frame, head + n) != head + n) fail("connect packet");
  uint8_t answer[4];
  for (int got = 0; got < 4;) got += wire_read(w, answer + got, 4 - got);
  if (answer[3]) fprintf(stderr, "refused: connack %d\n", answer[3]), exit(3);
  fcntl(w->fd, F_SETFL, O_NONBLOCK);
}
#endif

/* Addresses to listen on: 127.0.0.1:8620, [::1]:8620, localhost:8620, unix:/run/oodd/socket. Numbers only: a name server is
 * not asked. */
#ifndef OODD_ADDRESS_H
#define OODD_ADDRESS_H

#include <sys/socket.h>
#include <sys/un.h>

#include "base/error.h"

#define OODD_ADDRESS_TEXT 128

struct oodd_address {
    struct sockaddr_storage socket;
    socklen_t size;
    char text[OODD_ADDRESS_TEXT];            /* as it would be written; after listening with the port taken */
};

/* One address of `length` bytes. */
bool oodd_address_parse(const char *text, size_t length, struct oodd_address *out, struct ood_error *err) OOD_MUST_CHECK;

/* Takes the next address of a comma separated list and moves *list behind it; false at its end. Of a list that
 * oodd_addresses_valid accepted. */
bool oodd_addresses_next(const char **list, struct oodd_address *out);
bool oodd_addresses_valid(const char *list, struct ood_error *err) OOD_MUST_CHECK;

/* A listening, non-blocking socket, or -1. A socket file nobody listens on is replaced. Sets address->text. In use:
 * OOD_SYSTEM. */
int oodd_address_listen(struct oodd_address *address, struct ood_error *err) OOD_MUST_CHECK;

/* What the kernel says a socket is bound to, or its peer's address, as text; "unix" where it has none. */
void oodd_address_describe(const struct sockaddr *address, socklen_t size, char text[OODD_ADDRESS_TEXT]);

#endif

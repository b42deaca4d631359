/* Listening addresses: parsing, binding, describing. */
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"

static bool parse_unix(const char *path, size_t length, struct oodd_address *out, struct ood_error *err)
{
    struct sockaddr_un *address = (struct sockaddr_un *)&out->socket;
    if (length == 0 || length >= sizeof address->sun_path || path[0] != '/')
        return ood_fail(err, OOD_INVALID, "unix:%.*s: expected an absolute path of at most %zu bytes", (int)length, path,
                        sizeof address->sun_path - 1);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, length);
    address->sun_path[length] = '\0';
    out->size = (socklen_t)sizeof *address;
    return true;
}

static bool parse_port(const char *text, in_port_t *port)
{
    size_t number;
    if (!ood_parse_size(text, &number) || number > 65535)
        return false;
    *port = htons((uint16_t)number);
    return true;
}

bool oodd_address_parse(const char *text, size_t length, struct oodd_address *out, struct ood_error *err)
{
    struct oodd_address address = { 0 };
    char copy[OODD_ADDRESS_TEXT];
    if (length >= sizeof copy || memchr(text, '\0', length) != NULL)
        return ood_fail(err, OOD_INVALID, "an address of %zu bytes: expected at most %zu", length, sizeof copy - 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (strncmp(copy, "unix:", 5) == 0) {
        if (!parse_unix(copy + 5, length - 5, &address, err))
            return false;
    } else {
        struct sockaddr_in *four = (struct sockaddr_in *)&address.socket;
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address.socket;
        char *colon = strrchr(copy, ':'), *host = copy;
        bool good = false;
        if (colon != NULL) {
            *colon = '\0';
            if (host[0] == '[' && colon - host > 2 && colon[-1] == ']') {
                colon[-1] = '\0';
                six->sin6_family = AF_INET6;
                address.size = (socklen_t)sizeof *six;
                good = inet_pton(AF_INET6, host + 1, &six->sin6_addr) == 1 && parse_port(colon + 1, &six->sin6_port);
            } else {
                four->sin_family = AF_INET;
                address.size = (socklen_t)sizeof *four;
                good = inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &four->sin_addr) == 1 &&
                       parse_port(colon + 1, &four->sin_port);
            }
        }
        if (!good)
            return ood_fail(err, OOD_INVALID, "address \"%.*s\": expected A.B.C.D:PORT, [IPV6]:PORT or unix:PATH", (int)length,
                            text);
    }
    memcpy(address.text, text, length);
    address.text[length] = '\0';
    *out = address;
    return true;
}

/* The next piece between commas without blanks around it; false at the end. */
static bool next_piece(const char **list, const char **piece, size_t *length)
{
    if (*list == NULL)
        return false;
    const char *start = *list + strspn(*list, " \t");
    size_t size = strcspn(start, ",");
    *list = start[size] == ',' ? start + size + 1 : NULL;
    while (size > 0 && (start[size - 1] == ' ' || start[size - 1] == '\t'))
        size--;
    *piece = start;
    *length = size;
    return true;
}

bool oodd_addresses_next(const char **list, struct oodd_address *out)
{
    const char *piece;
    size_t length;
    struct ood_error err = { 0 };
    return next_piece(list, &piece, &length) && oodd_address_parse(piece, length, out, &err);
}

bool oodd_addresses_valid(const char *list, struct ood_error *err)
{
    const char *piece;
    size_t length;
    struct oodd_address address;
    while (next_piece(&list, &piece, &length))
        if (!oodd_address_parse(piece, length, &address, err))
            return false;
    return true;
}

/* A socket file that answers to nobody is left over from a process that is gone. */
static void remove_stale(const struct oodd_address *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address->socket, address->size) < 0 && errno == ECONNREFUSED)
        unlink(((const struct sockaddr_un *)&address->socket)->sun_path);
    if (fd >= 0)
        close(fd);
}

int oodd_address_listen(struct oodd_address *address, struct ood_error *err)
{
    int one = 1, family = address->socket.ss_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        ood_fail_errno(err, errno, "%s: socket", address->text);
        return -1;
    }
    if (family == AF_UNIX)
        remove_stale(address);
    else
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address->socket, address->size) < 0 || listen(fd, 1024) < 0) {
        int reason = errno;
        ood_fail_errno(err, reason, "cannot listen on %s", address->text);
        err->code = OOD_SYSTEM;              /* also where a socket's folder is missing: nothing was named that is bad */
        close(fd);
        return -1;
    }
    if (family != AF_UNIX) {
        address->size = (socklen_t)sizeof address->socket;
        getsockname(fd, (struct sockaddr *)&address->socket, &address->size);
        oodd_address_describe((struct sockaddr *)&address->socket, address->size, address->text);
    }
    return fd;
}

void oodd_address_describe(const struct sockaddr *address, socklen_t size, char text[OODD_ADDRESS_TEXT])
{
    char host[INET6_ADDRSTRLEN] = "";
    if (address->sa_family == AF_INET && size >= sizeof(struct sockaddr_in)) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)address;
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        snprintf(text, OODD_ADDRESS_TEXT, "%s:%u", host, (unsigned)ntohs(four->sin_port));
    } else if (address->sa_family == AF_INET6 && size >= sizeof(struct sockaddr_in6)) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        snprintf(text, OODD_ADDRESS_TEXT, "[%s]:%u", host, (unsigned)ntohs(six->sin6_port));
    } else if (address->sa_family == AF_UNIX && size > offsetof(struct sockaddr_un, sun_path) &&
               ((const struct sockaddr_un *)address)->sun_path[0] != '\0') {
        size_t length = size - offsetof(struct sockaddr_un, sun_path);
        snprintf(text, OODD_ADDRESS_TEXT, "unix:%.*s", (int)length, ((const struct sockaddr_un *)address)->sun_path);
    } else {
        snprintf(text, OODD_ADDRESS_TEXT, "unix");
    }
}

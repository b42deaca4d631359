/* One request and its answer, as libmicrohttpd calls back for it: header, body, end, completion. */
#ifndef OODD_EXCHANGE_H
#define OODD_EXCHANGE_H

#include <microhttpd.h>

#include "service.h"

struct oodd_exchange;

/* MHD_AccessHandlerCallback and MHD_RequestCompletedCallback; context: the service. */
enum MHD_Result oodd_exchange_handle(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                     const char *version, const char *upload, size_t *upload_size, void **exchange);
void oodd_exchange_completed(void *context, struct MHD_Connection *connection, void **exchange,
                             enum MHD_RequestTerminationCode how);

#define OODD_REQUEST_ID 65
void oodd_exchange_new_id(char id[OODD_REQUEST_ID]);
/* A whole answer, header and body, of an error; for a socket of which libmicrohttpd cannot be asked to send it. */
size_t oodd_exchange_raw_error(const struct api_error *error, const char *id, char *text, size_t size);

#endif

/* SHA-256 (nettle). */
#ifndef OOD_BASE_HASH_H
#define OOD_BASE_HASH_H

#include <stddef.h>

#define OOD_HASH_HEX 65    /* 64 hex digits and the end */

void ood_sha256_hex(const void *data, size_t size, char hex[OOD_HASH_HEX]);

#endif

/* Calls we do not make, so that the compiler says so: they overrun, read the locale, or hide an error. Included by the
 * compiler before every file of ours (-include). */
#ifndef OOD_BASE_BANNED_H
#define OOD_BASE_BANNED_H

#if !defined(OOD_ALLOW_BANNED)
/* declared first, poisoned after */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets strtok atoi atol atoll atof
#endif

#endif

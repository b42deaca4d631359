#ifndef OOD_BASE_CLOCK_H
#define OOD_BASE_CLOCK_H

/* Seconds of CLOCK_MONOTONIC, and of the calling thread's and the process's CPU clocks. */
double ood_clock(void);
double ood_clock_thread(void);
double ood_clock_process(void);

#endif

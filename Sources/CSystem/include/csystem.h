#pragma once
// What Swift's Glibc module map leaves out: eventfd, mallopt, signal forwarding, and fork+exec with a parent-death signal.
#include <sys/eventfd.h>

/// Creates a non-blocking, close-on-exec eventfd; -1 and errno on failure.
int oms_eventfd(void);

/// Makes `signal` write its number, as one byte, to a process-wide pipe, and returns the pipe's reading end.
/// May be called for several signals; all share the pipe. -1 and errno on failure.
int oms_forward_signal(int signal);

/// Limits glibc to two malloc arenas: with one per core and thread, freed memory stays scattered over all of them.
void oms_limit_malloc_arenas(void);

/// Names the calling thread, as shown by `top -H` and debuggers; at most 15 bytes.
void oms_name_thread(const char *name);

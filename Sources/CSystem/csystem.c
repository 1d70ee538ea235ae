#define _GNU_SOURCE
#include "csystem.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

int oms_eventfd(void) {
    return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

// A handler in C, because Swift code is not async-signal-safe (a first access to a global may take a lock).
// A self-pipe and not signalfd, because signalfd needs the signals blocked and children inherit a blocked mask.
static volatile int signal_pipe[2] = {-1, -1};

static void forward(int signal) {
    int saved = errno;
    unsigned char byte = (unsigned char)signal;
    ssize_t ignored = write(signal_pipe[1], &byte, 1);  // a full pipe already holds a reason to stop
    (void)ignored;
    errno = saved;
}

int oms_forward_signal(int signal) {
    if (signal_pipe[0] < 0) {
        int ends[2];
        if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return -1;
        signal_pipe[0] = ends[0];
        signal_pipe[1] = ends[1];
    }
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = forward;
    action.sa_flags = SA_RESTART;
    sigfillset(&action.sa_mask);
    if (sigaction(signal, &action, NULL) != 0) return -1;
    return signal_pipe[0];
}

void oms_limit_malloc_arenas(void) {
#ifdef M_ARENA_MAX
    mallopt(M_ARENA_MAX, 2);
#endif
}

void oms_name_thread(const char *name) {
    pthread_setname_np(pthread_self(), name);
}

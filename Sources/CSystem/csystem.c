#define _GNU_SOURCE
#include "csystem.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
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

static __thread volatile unsigned char *trap_mark = NULL;
static const int traps[] = {SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
#define TRAPS (sizeof traps / sizeof traps[0])
static struct sigaction usual[TRAPS];
static pthread_once_t marking = PTHREAD_ONCE_INIT;
static int marking_failed = 0;

// The faulting instruction runs again after this, and ends the process as if nobody had looked.
static void note_trap(int number, siginfo_t *info, void *context) {
    (void)context;
    if (trap_mark != NULL) *trap_mark = (unsigned char)number;
    for (size_t i = 0; i < TRAPS; i++) {
        if (traps[i] == number) sigaction(number, &usual[i], NULL);
    }
    if (info->si_code <= 0) raise(number);  // sent, not met: it would not come again by itself
}

static void begin_marking(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = note_trap;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < TRAPS; i++) {
        if (sigaction(traps[i], &action, &usual[i]) != 0) marking_failed = errno;
    }
}

int oms_mark_traps(volatile unsigned char *mark) {
    // A stack of its own, or an endless recursion could not be noted.
    stack_t stack;
    memset(&stack, 0, sizeof stack);
    stack_t present;
    if (sigaltstack(NULL, &present) == 0 && (present.ss_flags & SS_DISABLE)) {
        stack.ss_size = 64 * 1024;
        stack.ss_sp = malloc(stack.ss_size);  // as long as the thread, which is as long as the process
        if (stack.ss_sp == NULL || sigaltstack(&stack, NULL) != 0) return -1;
    }
    trap_mark = mark;
    pthread_once(&marking, begin_marking);
    if (marking_failed != 0) {
        errno = marking_failed;
        return -1;
    }
    return 0;
}

void oms_trap(void) { __builtin_trap(); }

void oms_name_thread(const char *name) {
    pthread_setname_np(pthread_self(), name);
}

#pragma once
// What Swift's Glibc module map leaves out: eventfd, mallopt, signal forwarding, names of threads.
#include <sys/eventfd.h>
#include <sys/types.h>

/// Creates a non-blocking, close-on-exec eventfd; -1 and errno on failure.
int oms_eventfd(void);

/// Makes `signal` write its number, as one byte, to a process-wide pipe, and returns the pipe's reading end.
/// May be called for several signals; all share the pipe. -1 and errno on failure.
int oms_forward_signal(int signal);

/// Limits glibc to two malloc arenas: with one per core and thread, freed memory stays scattered over all of them.
void oms_limit_malloc_arenas(void);

/// Names the calling thread, as shown by `top -H` and debuggers; at most 15 bytes.
void oms_name_thread(const char *name);

/// Of the calling thread: a trap or an abort (SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT) writes its number to
/// `mark` before the process dies of it as usual. 0, or -1 and errno.
int oms_mark_traps(volatile unsigned char *mark);

/// Dies as a Swift program does of an overflow. For tests.
void oms_trap(void);

/// A program to start. All pointers are the caller's and only read during the call.
struct oms_spawn_request {
    const char *path;
    char *const *argv;
    char *const *envp;
    /// NULL: stay in the current folder.
    const char *directory;
    /// Becomes standard output and standard error; standard input is /dev/null, all other descriptors are closed.
    int output;
    /// Sent to the child by the kernel when the calling *thread* ends; 0 for none.
    int death_signal;
    /// Whether to become the user below first.
    int change_user;
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    int group_count;
};

/// Forks and executes. Returns when the program runs: the child's number and, in `pidfd`, a descriptor that is readable
/// once the child has ended; -1, errno and the step that failed otherwise.
pid_t oms_spawn(const struct oms_spawn_request *request, int *pidfd, const char **failed_step);

/// A descriptor that is readable once the process has ended; -1 and errno if there is no such process.
int oms_pidfd_open(pid_t pid);

/// Collects an ended child: 1 when it is gone (`signal_number` 0: it exited by itself), 0 while it lives. Never waits.
int oms_reap(pid_t pid, int *exit_code, int *signal_number);

/// Looks a user up in the system's database. `group_count` holds the room in `groups`, then how many there are.
int oms_find_user(const char *name, uid_t *uid, gid_t *gid, gid_t *groups, int *group_count);

#define _GNU_SOURCE
#include "csystem.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

// What the child reports through a close-on-exec pipe when it cannot become the program.
struct failure {
    int step;
    int error;
};

static const char *const steps[] = {
    "change to the folder", "change to the user", "ask to die with its parent", "redirect its output", "run",
};

static void give_up(int report, int step) {
    struct failure failure = {step, errno};
    ssize_t ignored = write(report, &failure, sizeof failure);
    (void)ignored;
    _exit(127);
}

// Runs between fork and exec of a process with threads: async-signal-safe calls only, so no malloc, no stdio, no
// initgroups (it reads /etc/group).
static void become(const struct oms_spawn_request *request, pid_t parent, int report) {
    struct sigaction standard;
    memset(&standard, 0, sizeof standard);
    standard.sa_handler = SIG_DFL;
    // An ignored signal (SIGPIPE in our case) stays ignored across exec, a handler of ours must not run here.
    for (int number = 1; number < NSIG; number++) sigaction(number, &standard, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    // A group of its own: Ctrl-C at the terminal is for the supervisor, which stops its children in order.
    setpgid(0, 0);

    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, 0) < 0 || dup2(request->output, 1) < 0 || dup2(request->output, 2) < 0) give_up(report, 3);
    // Everything else goes, also what another thread opened meanwhile without close-on-exec; the report pipe moves to 3.
    if (report != 3) {
        if (dup2(report, 3) < 0) give_up(report, 3);
        report = 3;
    }
    fcntl(report, F_SETFD, FD_CLOEXEC);
    close_range(4, ~0U, 0);

    if (request->change_user) {
        if (setgroups((size_t)request->group_count, request->groups) != 0) give_up(report, 1);
        if (setgid(request->gid) != 0 || setuid(request->uid) != 0) give_up(report, 1);
    }
    if (request->directory && chdir(request->directory) != 0) give_up(report, 0);
    // After setuid, which clears it. Before exec, which keeps it.
    if (request->death_signal && prctl(PR_SET_PDEATHSIG, request->death_signal) != 0) give_up(report, 2);
    // The parent may have died before the line above: then nobody will ever send that signal.
    if (request->death_signal && getppid() != parent) _exit(127);

    execve(request->path, request->argv, request->envp);
    give_up(report, 4);
}

pid_t oms_spawn(const struct oms_spawn_request *request, int *pidfd, const char **failed_step) {
    *pidfd = -1;
    *failed_step = "start a process";
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0) return -1;

    // No handler of ours may run in the child before it has reset them.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) become(request, parent, report[1]);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    if (child < 0) {
        close(report[0]);
        errno = error;
        return -1;
    }

    struct failure failure;
    ssize_t count;
    do count = read(report[0], &failure, sizeof failure);
    while (count < 0 && errno == EINTR);
    close(report[0]);
    if (count == (ssize_t)sizeof failure) {
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
        *failed_step = steps[failure.step];
        errno = failure.error;
        return -1;
    }
    // Not a moment too late: nobody else waits for this child, so its number cannot have been given to another process.
    *pidfd = pidfd_open(child, 0);
    if (*pidfd < 0) {
        error = errno;
        *failed_step = "watch a process";
        kill(child, SIGKILL);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
        errno = error;
        return -1;
    }
    return child;
}

int oms_pidfd_open(pid_t pid) {
    return pidfd_open(pid, 0);
}

int oms_reap(pid_t pid, int *exit_code, int *signal_number) {
    int status = 0;
    pid_t reaped;
    do reaped = waitpid(pid, &status, WNOHANG);
    while (reaped < 0 && errno == EINTR);
    if (reaped == 0) return 0;
    *exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    *signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return 1;  // also when there is no such child: it will not end again
}

int oms_find_user(const char *name, uid_t *uid, gid_t *gid, gid_t *groups, int *group_count) {
    char buffer[4096];
    struct passwd entry, *found = NULL;
    if (getpwnam_r(name, &entry, buffer, sizeof buffer, &found) != 0 || !found) return -1;
    *uid = entry.pw_uid;
    *gid = entry.pw_gid;
    return getgrouplist(name, entry.pw_gid, groups, group_count) < 0 ? -1 : 0;
}

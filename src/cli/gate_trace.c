// gate_trace: counts the system calls of a child between two marks.
//
// Owns: the child and all of its threads, by ptrace, which needs no privilege for one's own child.
// Refuses: systems without ptrace as Linux has it since 5.3; it says so. The marks are a system
// call with arguments that nobody else would use.
#define _GNU_SOURCE
#include "gate.h"

#if defined(__linux__)

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRACE_BEGIN = 0x6a7e0001, TRACE_END = 0x6a7e0002, TRACE_REFUSED = 77 };

void gate_trace_mark(void *user, bool begin) {
    (void)user;
    syscall(SYS_getpgid, begin ? TRACE_BEGIN : TRACE_END); // there is no such process
}

typedef struct trace_state {
    gate_syscalls *counts;
    bool on;
    bool told; // the kernel told what was called
} trace_state;

static void trace_call(trace_state *t, pid_t thread) {
    struct __ptrace_syscall_info info;
    memset(&info, 0, sizeof info);
    if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) <= 0) return;
    t->told = true;
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY) return;
    if (info.entry.nr == SYS_getpgid && info.entry.args[0] == TRACE_BEGIN) {
        t->on = true;
    } else if (info.entry.nr == SYS_getpgid && info.entry.args[0] == TRACE_END) {
        t->on = false;
    } else if (t->on && info.entry.nr == SYS_futex) {
        t->counts->futex++;
    } else if (t->on) {
        if (t->counts->other++ == 0) t->counts->first = (int64_t)info.entry.nr;
    }
}

// What a stopped thread goes on with: the signal that it is to get, or 0.
static int trace_stop(trace_state *t, pid_t thread, int status) {
    int number = WSTOPSIG(status);
    if (number == (SIGTRAP | 0x80)) {
        trace_call(t, thread);
        return 0;
    }
    bool event = status >> 16 != 0; // a new thread, seen from its maker
    return event || number == SIGSTOP || number == SIGTRAP ? 0 : number; // and from itself
}

// Follows all threads until the child is gone. Returns how it ended, or -1.
static int trace_follow(trace_state *t, pid_t child) {
    for (;;) {
        int status = 0;
        pid_t thread = waitpid(-1, &status, __WALL);
        if (thread < 0 && errno == EINTR) continue;
        if (thread < 0) return -1;
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (thread != child) continue;
            return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        }
        ptrace(PTRACE_SYSCALL, thread, NULL, (long)trace_stop(t, thread, status));
    }
}

bool gate_trace(int (*work)(void *user), void *user, gate_syscalls *counts, char *why,
                size_t capacity) {
    trace_state t = {.counts = counts};
    int status = 0;
    memset(counts, 0, sizeof *counts);
    counts->first = -1;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 || raise(SIGSTOP) != 0) _exit(TRACE_REFUSED);
        _exit(work(user));
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        snprintf(why, capacity, "cannot start a process: %s", strerror(errno));
        return false;
    }
    if (!WIFSTOPPED(status)) {
        snprintf(why, capacity, "ptrace is not permitted here");
        return false;
    }
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SETOPTIONS, child, NULL, options) != 0 ||
        ptrace(PTRACE_SYSCALL, child, NULL, 0L) != 0) {
        snprintf(why, capacity, "ptrace is not permitted here: %s", strerror(errno));
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        return false;
    }
    int code = trace_follow(&t, child);
    if (code != 0)
        snprintf(why, capacity, "the traced process ended with %d", code);
    else if (!t.told)
        snprintf(why, capacity, "this kernel's ptrace does not tell system calls (Linux 5.3 does)");
    return code == 0 && t.told;
}

#else

void gate_trace_mark(void *user, bool begin) {
    (void)user;
    (void)begin;
}

bool gate_trace(int (*work)(void *user), void *user, gate_syscalls *counts, char *why,
                size_t capacity) {
    (void)work;
    (void)user;
    (void)counts;
    snprintf(why, capacity, "this system has no ptrace as Linux has it");
    return false;
}

#endif

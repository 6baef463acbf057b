/* bare MODE N ...: the yardstick of the bench. It does what a service manager must do to processes, by the shortest way
 * a C program has, and nothing else: no names, no settings, no supervision, no log. Two threads, vfork and execve.
 *
 *   bare spawn N PROGRAM ARG...            spawns N, then waits for SIGTERM; sends it to all, reaps all, exits
 *   bare sessions N PROGRAM ARG...         the same, each in a session of its own: what the kernel takes for that
 *   bare ready N FILE PROGRAM ARG...       the same, with a pipe as descriptor 3 of each: waits for a byte from every
 *                                          one, then appends a byte to FILE
 *   bare layers N WIDTH PROGRAM ARG...     N layers of WIDTH: spawns a layer, reaps all of it, then the next. With a
 *                                          width of 1 it is a chain, and one thread does it
 *   bare again N PROGRAM ARG...            spawns N, and again each that dies, until a signal ends it
 */
#include "common.h"
#include <pthread.h>
#include <sys/wait.h>

enum { THREADS = 2 };

extern char **environ;

static char **program;
static int count, with_pipe, with_session, reap_layer;
static pid_t *pids;
static int *pipes;

static pid_t spawn(int number)
{
	int ends[2] = { -1, -1 };
	if (with_pipe && pipe2(ends, O_CLOEXEC)) die("pipe");
	pid_t pid = vfork();
	if (pid < 0) die("vfork");
	if (!pid) {
		if (with_pipe) {
			/* dup2 of a descriptor onto itself would keep it close-on-exec. */
			if (ends[1] == 3) fcntl(3, F_SETFD, 0);
			else dup2(ends[1], 3);
		}
		if (with_session) setsid();
		execve(program[0], program, environ);
		_exit(111);
	}
	if (with_pipe) {
		close(ends[1]);
		pipes[number] = ends[0];
	}
	return pid;
}

static _Noreturn void again(void)
{
	for (int i = 0; i < count; i++) pids[i] = spawn(i);
	for (;;) {
		pid_t dead = waitpid(-1, 0, 0);
		if (dead < 0) die("waitpid");
		for (int i = 0; i < count; i++) if (pids[i] == dead) pids[i] = spawn(i);
	}
}

/* Takes every second of the numbers, from the first or from the second. */
static void *work(void *first)
{
	int from = (int)(long)first;
	for (int i = from; i < count; i += THREADS) pids[i] = spawn(i);
	if (with_pipe) for (int i = from; i < count; i += THREADS) {
		char byte;
		if (read(pipes[i], &byte, 1) != 1) die("a program ended before it was ready");
		close(pipes[i]);
	}
	if (reap_layer) for (int i = from; i < count; i += THREADS) waitpid(pids[i], 0, 0);
	return 0;
}

static void work_in_threads(void)
{
	pthread_t other;
	if (count == 1) {
		work(0);
		return;
	}
	if (pthread_create(&other, 0, work, (void *)1)) die("pthread_create");
	work(0);
	pthread_join(other, 0);
}

int main(int argc, char **argv)
{
	const char *line = "bare spawn|sessions|again N PROGRAM ARG... | ready N FILE PROGRAM ARG... | layers N WIDTH PROGRAM ARG...";
	if (argc < 4) usage(line);
	int n = number(argv[2], line), layers = !strcmp(argv[1], "layers");
	with_pipe = !strcmp(argv[1], "ready");
	with_session = !strcmp(argv[1], "sessions");
	reap_layer = layers;
	int lives_again = !strcmp(argv[1], "again");
	if (!layers && !with_pipe && !with_session && !lives_again && strcmp(argv[1], "spawn")) usage(line);
	program = argv + (layers || with_pipe ? 4 : 3);
	count = layers ? number(argv[3], line) : n;
	if (!*program || !count) usage(line);
	pids = calloc((size_t)count, sizeof *pids);
	pipes = calloc((size_t)count, sizeof *pipes);
	if (!pids || !pipes) die("calloc");

	if (lives_again) again();

	/* Blocked only once everything is spawned: a program would inherit the mask and not die by SIGTERM. */
	sigset_t stop;
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);

	if (layers) {
		while (n--) work_in_threads();
		return 0;
	}
	work_in_threads();
	sigprocmask(SIG_BLOCK, &stop, 0);
	if (with_pipe) mark(argv[3]);

	int signal;
	sigwait(&stop, &signal);
	for (int i = 0; i < count; i++) kill(pids[i], SIGTERM);
	for (int i = 0; i < count; i++) waitpid(pids[i], 0, 0);
	return 0;
}

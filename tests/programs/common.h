/* What the test programs share. Every failure ends the program with 111 and says where. */
#ifndef COMMON_H
#define COMMON_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline _Noreturn void die(const char *what)
{
	dprintf(2, "%s: %s\n", what, strerror(errno));
	_exit(111);
}

static inline _Noreturn void usage(const char *line)
{
	dprintf(2, "usage: %s\n", line);
	_exit(100);
}

/* A whole number from 0 to 2147483647, or the usage line. */
static inline int number(const char *word, const char *line)
{
	char *end;
	long value = strtol(word, &end, 10);
	if (end == word || *end || value < 0 || value > 0x7fffffff) usage(line);
	return (int)value;
}

/* Until a signal's default action ends the process. */
static inline _Noreturn void sleep_for_ever(void)
{
	for (;;) pause();
}

static inline void sleep_ms(int ms)
{
	struct timespec left = { ms / 1000, (ms % 1000) * 1000000L };
	while (nanosleep(&left, &left) && errno == EINTR) {}
}

/* One byte at the end of a file or into a pipe: the mark that a reader counts. */
static inline void mark(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0) die(path);
	if (write(fd, "+", 1) != 1) die(path);
	close(fd);
}

/* The newline that tells readiness (the s6 convention); the descriptor is closed after it. */
static inline void tell_ready(int fd)
{
	if (write(fd, "\n", 1) != 1) die("readiness descriptor");
	close(fd);
}

#endif

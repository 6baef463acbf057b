/* ready [FD [MS]]: says on descriptor FD (3) that it is ready, after MS milliseconds, then sleeps until a signal ends it.
 * With MARK in the environment the arguments are not looked at: s6 gives a run script one of its own. */
#include "common.h"

int main(int argc, char **argv)
{
	const char *line = "ready [FD [MS]]";
	if (getenv("MARK")) argc = 1;
	if (argc > 3) usage(line);
	int fd = argc > 1 ? number(argv[1], line) : 3;
	if (argc == 3) sleep_ms(number(argv[2], line));
	tell_ready(fd);
	sleep_for_ever();
}

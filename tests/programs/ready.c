/* ready FD [MS]: says on descriptor FD that it is ready, after MS milliseconds, then sleeps until a signal ends it. */
#include "common.h"

int main(int argc, char **argv)
{
	const char *line = "ready FD [MS]";
	if (argc < 2 || argc > 3) usage(line);
	int fd = number(argv[1], line);
	if (argc == 3) sleep_ms(number(argv[2], line));
	tell_ready(fd);
	sleep_for_ever();
}

/* forker [-g] [-p PIDFILE] [N]: forks N (1) descendants that sleep, each in a session (-g: a process group) of its own, writes the pid of the
 * first to PIDFILE, and exits with 0 when each has left: a daemon that insists on forking, or one that
 * leaves strays. */
#include "common.h"

int main(int argc, char **argv)
{
	const char *line = "forker [-g] [-p PIDFILE] [N]";
	const char *pid_file = 0;
	int option, count = 1, groups = 0;
	while ((option = getopt(argc, argv, "gp:")) != -1) {
		if (option == 'p') pid_file = optarg;
		else if (option == 'g') groups = 1;
		else usage(line);
	}
	if (argc - optind > 1) usage(line);
	if (argc > optind) count = number(argv[optind], line);
	int left[2];
	if (pipe(left)) die("pipe");
	for (int i = 0; i < count; i++) {
		pid_t pid = fork();
		if (pid < 0) die("fork");
		if (!pid) {
			if (groups) setpgid(0, 0);
			else setsid();
			close(left[0]);
			close(left[1]);
			sleep_for_ever();
		}
		if (i || !pid_file) continue;
		int fd = open(pid_file, O_WRONLY | O_CREAT | O_TRUNC, 0644);
		if (fd < 0 || dprintf(fd, "%d\n", (int)pid) < 0) die(pid_file);
		close(fd);
	}
	/* A descendant that has not left yet would end with our group. */
	char byte;
	close(left[1]);
	if (read(left[0], &byte, 1) < 0) die("read");
	return 0;
}

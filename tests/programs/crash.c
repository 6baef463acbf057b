/* crash [-r FD] SIGNAL [MS]: dies by signal number SIGNAL (0: exits with 1) after MS milliseconds; with -r says on
 * descriptor FD first that it is ready. */
#include "common.h"
#include <sys/resource.h>

int main(int argc, char **argv)
{
	const char *line = "crash [-r FD] SIGNAL [MS]";
	int option;
	while ((option = getopt(argc, argv, "r:")) != -1) {
		if (option != 'r') usage(line);
		tell_ready(number(optarg, line));
	}
	if (argc - optind < 1 || argc - optind > 2) usage(line);
	int signal_number = number(argv[optind], line);
	if (argc - optind == 2) sleep_ms(number(argv[optind + 1], line));
	if (!signal_number) return 1;
	struct rlimit none = { 0, 0 };
	setrlimit(RLIMIT_CORE, &none);
	signal(signal_number, SIG_DFL);
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, signal_number);
	sigprocmask(SIG_UNBLOCK, &set, 0);
	raise(signal_number);
	/* A signal that does not kill by default was asked for. */
	return 100;
}

/* pause [FILE]: appends one byte to FILE when it begins, then sleeps until a signal ends it. The variable MARK names the
 * file too, and comes first: s6 gives a run script an argument of its own. */
#include "common.h"

int main(int argc, char **argv)
{
	if (argc > 2) usage("pause [FILE]");
	const char *file = getenv("MARK");
	if (!file && argc == 2) file = argv[1];
	if (file) mark(file);
	sleep_for_ever();
}

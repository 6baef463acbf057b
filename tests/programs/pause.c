/* pause [FILE]: appends one byte to FILE when it begins, then sleeps until a signal ends it. */
#include "common.h"

int main(int argc, char **argv)
{
	if (argc > 2) usage("pause [FILE]");
	if (argc == 2) mark(argv[1]);
	sleep_for_ever();
}

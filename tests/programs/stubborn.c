/* stubborn [FILE]: as pause, but ignores every signal that can be ignored: only SIGKILL ends it. */
#include "common.h"

int main(int argc, char **argv)
{
	if (argc > 2) usage("stubborn [FILE]");
	for (int i = 1; i < 65; i++) signal(i, SIG_IGN);
	if (argc == 2) mark(argv[1]);
	sleep_for_ever();
}

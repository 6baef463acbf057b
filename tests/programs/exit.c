/* exit CODE [FILE]: appends one byte to FILE if one is given, then exits with CODE. */
#include "common.h"

int main(int argc, char **argv)
{
	const char *line = "exit CODE [FILE]";
	if (argc < 2 || argc > 3) usage(line);
	int code = number(argv[1], line);
	if (argc == 3) mark(argv[2]);
	return code;
}

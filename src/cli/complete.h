/*
 * `outboard --complete WORD...`: what the last word may become, one candidate a line, for packaging/outboard.bash. ":file" or
 * ":folder" as the only line leaves it to the shell. Names of volumes and keys come from the card, when one answers.
 */
#ifndef OUTBOARD_CLI_COMPLETE_H
#define OUTBOARD_CLI_COMPLETE_H

int cli_complete(int count, char **words);

#endif

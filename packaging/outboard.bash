# bash completion for outboard. The command itself knows what may come next (src/cli/complete.c).

_outboard() {
	local word="${COMP_WORDS[COMP_CWORD]}"
	local candidates

	mapfile -t candidates < <("${COMP_WORDS[0]}" --complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2> /dev/null)
	case "${candidates[0]-}" in
	:file)
		compopt -o filenames 2> /dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		;;
	:folder)
		compopt -o filenames 2> /dev/null
		mapfile -t COMPREPLY < <(compgen -d -- "$word")
		;;
	*)
		COMPREPLY=("${candidates[@]}")
		;;
	esac
}

complete -F _outboard outboard

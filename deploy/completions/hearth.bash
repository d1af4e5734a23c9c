# Completion of hearth for bash, written by deploy/write-shell-files.

_hearth() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local command= words= files= i
  # Bash ends words at = and at :.
  [[ $current == = ]] && current=
  [[ $previous == = ]] && previous=${COMP_WORDS[COMP_CWORD - 2]}
  [[ $previous$current == unix: ]] && previous=unix: current=
  [[ $previous == : && ${COMP_WORDS[COMP_CWORD - 2]} == unix ]] && previous=unix:
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      chat|generate|estimate|embed|score|models|load|top|cancel|pin|unpin|flush|drain) command=${COMP_WORDS[i]} && break ;;
    esac
  done
  case $previous in
    unix:) files=yes ;;
    --tools|--key-file|--tls-ca|--tls-certificate|--tls-private-key|--json-schema) files=yes ;;
    --system|--model|--max-tokens|--stop|--cache-key|--address|--timeout|--temperature|--top-p|--top-k|--min-p|--repetition-penalty|--frequency-penalty|--presence-penalty|--seed|--regex|--choice|--interval) return ;;
    --priority) words='low normal high' ;;
    --pooling) words='mean last' ;;
    *) case $command in
      '') words='chat generate estimate embed score models load top cancel pin unpin flush drain -h --help --version' ;;
      chat) words='-h --help --system --tools --model --max-tokens --stop --priority --cache-key --drop-oldest --json --version --address --key-file --tls-ca --tls-certificate --tls-private-key --timeout --temperature --top-p --top-k --min-p --repetition-penalty --frequency-penalty --presence-penalty --seed --json-schema --regex --choice' ;;
      generate) words='-h --help --model --max-tokens --stop --priority --cache-key --drop-oldest --json --version --address --key-file --tls-ca --tls-certificate --tls-private-key --timeout --temperature --top-p --top-k --min-p --repetition-penalty --frequency-penalty --presence-penalty --seed --json-schema --regex --choice' ;;
      estimate) words='-h --help --system --tools --plain --model --max-tokens --stop --priority --cache-key --drop-oldest --json --version --temperature --top-p --top-k --min-p --repetition-penalty --frequency-penalty --presence-penalty --seed --address --key-file --tls-ca --tls-certificate --tls-private-key --timeout' ;;
      embed) words='-h --help --model --pooling --json --version --address --key-file --tls-ca --tls-certificate --tls-private-key --timeout' ;;
      score) words='-h --help --system --tools --plain --model --cache-key --json --version --address --key-file --tls-ca --tls-certificate --tls-private-key --timeout' ;;
      models) words='-h --help --json --version --address --key-file --tls-ca --tls-certificate --tls-private-key --timeout' ;;
      load) words='-h --help --json --version --address --key-file --tls-ca --tls-certificate --tls-private-key --timeout' ;;
      top) words='-h --help --interval --json --version --address --key-file --tls-ca --tls-certificate --tls-private-key --timeout' ;;
      cancel) words='-h --help --version --address --key-file --tls-ca --tls-certificate --tls-private-key --timeout' ;;
      pin) words='-h --help --system --tools --plain --cache-key --json --version --address --key-file --tls-ca --tls-certificate --tls-private-key --timeout' ;;
      unpin) words='-h --help --version --address --key-file --tls-ca --tls-certificate --tls-private-key --timeout' ;;
      flush) words='-h --help --version --address --key-file --tls-ca --tls-certificate --tls-private-key --timeout' ;;
      drain) words='-h --help --json --version --address --key-file --tls-ca --tls-certificate --tls-private-key --timeout' ;;
    esac ;;
  esac
  if [[ $files ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  fi
}
complete -F _hearth hearth

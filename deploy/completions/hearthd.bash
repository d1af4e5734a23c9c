# Completion of hearthd for bash, written by deploy/write-shell-files.

_hearthd() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local command= words= files= i
  # Bash ends words at = and at :.
  [[ $current == = ]] && current=
  [[ $previous == = ]] && previous=${COMP_WORDS[COMP_CWORD - 2]}
  [[ $previous$current == unix: ]] && previous=unix: current=
  [[ $previous == : && ${COMP_WORDS[COMP_CWORD - 2]} == unix ]] && previous=unix:
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      serve|inspect|tokenize|eval|bench) command=${COMP_WORDS[i]} && break ;;
    esac
  done
  case $previous in
    unix:) files=yes ;;
    --model|--config|--key-file|--tls-certificate|--tls-private-key|--reference) files=yes ;;
    --http|--grpc|--threads|--kv-tokens|--max-context|--memory-limit|--isa|--model-id|--cache-directory|--window|--prompt|--gen|--streams|--depth|--shared-prefix|--repeat) return ;;
    --kv-type|--reference-kv-type) words='int8 f16 f32' ;;
    --tests) words='prefill decode mixed' ;;
    *) case $command in
      '') words='serve inspect tokenize eval bench -h --help --version' ;;
      serve) words='-h --help --version --model --config --check-config --http --grpc --threads --kv-tokens --kv-type --max-context --memory-limit --isa --model-id --cache-directory --key-file --tls-certificate --tls-private-key' ;;
      inspect) words='-h --help --version --json'; [[ $current == -* ]] || files=yes ;;
      tokenize) words='-h --help --version --model --json --add-special' ;;
      eval) words='-h --help --version --model --reference --kv-type --reference-kv-type --window --threads --json'; [[ $current == -* ]] || files=yes ;;
      bench) words='-h --help --version --tests --prompt --gen --streams --depth --shared-prefix --repeat --kv-type --threads --json --model --limits' ;;
    esac ;;
  esac
  if [[ $files ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  fi
}
complete -F _hearthd hearthd

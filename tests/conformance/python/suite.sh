# Of every Python suite: its requirements in an environment of its own, its tests by pytest.
case "$1" in
  install)
    [[ -x "$TOOLS/venv/bin/python" ]] || python3 -m venv "$TOOLS/venv"
    "$TOOLS/venv/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt
    ;;
  test)
    PYTHONPATH=.. PYTHONDONTWRITEBYTECODE=1 \
      "$TOOLS/venv/bin/python" -m pytest -q -rsx -p no:cacheprovider --asyncio-mode=auto \
      -o asyncio_default_test_loop_scope=session -o asyncio_default_fixture_loop_scope=session \
      -W ignore::pytest.PytestDeprecationWarning .
    ;;
esac

#!/bin/sh
# mysql.sh PROGRAM: see protocol.md. Each statement is a connection of its own.
line='SELECT 1'
first=yes
while [ -n "$line" ]; do
  [ "$line" != connect ] || line='SELECT 1'
  if answer=$("$1" --defaults-file=/etc/dbpair/app/my.cnf --batch --skip-column-names --execute="$line" 2>&1); then
    if [ -n "$first" ] || [ -z "$answer" ]; then echo ok; else printf 'ok\t%s\n' "$answer"; fi
  else
    code=$(printf '%s' "$answer" | sed -n 's/.*ERROR \([0-9]*\).*/\1/p' | head -n 1)
    printf 'error\t%s\tmysql\t%s\n' "$code" "$(printf '%s' "$answer" | tr '\t\n' '  ')"
  fi
  first=
  IFS= read -r line || break
done

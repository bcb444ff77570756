#!/usr/bin/env bash
# Let the notebooks follow where the commit that is checked out changes nothing but text, against its first parent. So a
# pull request passes in which a sentence was mended in the web editor; GitHub makes it a merge commit.
set -euo pipefail

changed=$(git diff --name-only HEAD^1 HEAD)
if grep --quiet --invert-match --extended-regexp '^book/[^/]+\.md$' <<< "$changed"; then
  echo "More than text has changed: the notebooks are taken as they are."
else
  make words
fi

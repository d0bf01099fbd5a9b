# Makes the authority that signs the certificates of one cluster's nodes: `sh cluster/node/authority.sh tls`, once.
# Who has its key can join the cluster's traffic: keep it as you keep the token, and out of the repository.
set -eu
umask 077
mkdir -p "$1"
cd "$1"
[ ! -e ca.crt ] || exit 0
openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=Ebbtide cluster" -keyout ca.key -out ca.crt 2>/dev/null

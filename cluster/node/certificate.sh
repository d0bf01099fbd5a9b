# Makes a node's certificate, signed by the cluster's own authority. Without ~/ebbtide/tls there is none, and no TLS.
set -eu
authority="$HOME/ebbtide/tls"
# Not beside the authority: the workers get their copy of that from the head.
own="$HOME/ebbtide/certificate"
[ -e "$authority/ca.crt" ] && [ ! -e "$own/node.crt" ] || exit 0
umask 077
mkdir -p "$own"
cd "$own"
names=$(for address in $(hostname -I); do printf 'IP:%s,' "$address"; done)
printf 'subjectAltName=%sIP:127.0.0.1,DNS:localhost,DNS:%s\n' "$names" "$(hostname)" > node.ext
openssl req -newkey rsa:2048 -nodes -keyout node.key -subj "/CN=$(hostname)" -out node.csr 2>/dev/null
openssl x509 -req -in node.csr -CA "$authority/ca.crt" -CAkey "$authority/ca.key" -CAcreateserial -days 825 \
    -extfile node.ext -out node.crt.new 2>/dev/null
mv node.crt.new node.crt

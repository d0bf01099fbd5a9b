# What a node's shells and its Ray have in their environment: setup_commands have ~/.bashrc read it.
export PATH="$HOME/ebbtide/venv/bin:$PATH"

# Nobody joins this Ray without the token, which is in ~/.ray/auth_token on every node.
export RAY_AUTH_MODE=token
export RAY_USAGE_STATS_ENABLED=0

# Where certificate.sh has made a certificate, Ray's processes prove who they are, and encrypt what they send each other.
if [ -e "$HOME/ebbtide/certificate/node.crt" ]; then
    export RAY_USE_TLS=1
    export RAY_TLS_CA_CERT="$HOME/ebbtide/tls/ca.crt"
    export RAY_TLS_SERVER_CERT="$HOME/ebbtide/certificate/node.crt"
    export RAY_TLS_SERVER_KEY="$HOME/ebbtide/certificate/node.key"
fi

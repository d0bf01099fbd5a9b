"""Who belongs to a cluster, and who may do what: grants that anybody can check by the cluster's public key alone."""

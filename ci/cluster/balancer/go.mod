module certdrill.test/balancer

go 1.21

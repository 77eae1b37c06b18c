module certdrill.test/pause

go 1.21

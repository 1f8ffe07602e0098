module paytoken

go 1.19

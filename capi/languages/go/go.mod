// Nobody can serve a name under .example (RFC 2606), so this one cannot be another's. See pack_go.
module paytoken.example/paytoken

go 1.19

// What ./paytoken.cjs starts as its worker threads: there, its `serve` listens.
'use strict';
require('./paytoken.cjs');

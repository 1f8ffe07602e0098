//! What Redis does in one step. Each can be done twice with the same outcome.
//!
//! The lock is the fence as well: its value is random, 128 bits, another one each time it is had, and
//! whoever writes must still have it. A number that grows would say no more, and would have to outlive
//! the lock.

/// KEYS: lock, entry. ARGV: value, lease (ms), older values that may be ours. The entry, or nothing if
/// there is none; 0 where another has the lock.
///
/// A lock of ours whose answer was lost gets the new value, so that what was sent with the old one and
/// comes late does nothing.
pub(crate) const LOCK: &str = "\
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  local held = redis.call('GET', KEYS[1])
  local ours = held == ARGV[1]
  for i = 3, #ARGV do ours = ours or held == ARGV[i] end
  if not ours then return 0 end
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
local entry = redis.pcall('HGET', KEYS[2], 'entry')
if type(entry) == 'table' then
  if string.find(entry.err, 'WRONGTYPE', 1, true) then return '' end
  redis.call('DEL', KEYS[1])
  return entry
end
return entry or ''";

/// KEYS: lock, entry. ARGV: value, lease (ms), entry, stamp, time to keep it (ms). 1, or 0 where the
/// lock was lost. The lease begins anew: the request that follows has all of it.
///
/// Redis decides before a script runs whether it may use more memory, so HSET comes first: refused,
/// it has changed nothing.
pub(crate) const WRITE: &str = "\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local set = redis.pcall('HSET', KEYS[2], 'entry', ARGV[3], 'stamp', ARGV[4])
if type(set) == 'table' then
  if not string.find(set.err, 'WRONGTYPE', 1, true) then return set end
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[2], 'entry', ARGV[3], 'stamp', ARGV[4])
end
redis.call('PEXPIRE', KEYS[2], ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1";

/// KEYS: lock. ARGV: value. What is not ours stays.
pub(crate) const UNLOCK: &str = "\
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";

/// Whether a key can be written and removed.
pub(crate) const TRIAL: &str =
    "redis.call('SET', KEYS[1], '', 'PX', 1000) return redis.call('DEL', KEYS[1])";

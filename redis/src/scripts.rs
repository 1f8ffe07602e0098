//! What Redis does in one step. Each can be done twice with the same outcome.
//!
//! The lock is the fence as well: its value is random, 128 bits, another one each time it is had, and
//! whoever writes must still have it. A number that grows would say no more, and would have to outlive
//! the lock.

/// KEYS: lock, entry. ARGV: value, lease (ms), the longest lease of an earlier version (ms), older
/// values that may be ours. The entry, or nothing if there is none; 0 where another has the lock; in
/// an array where a stale lock was taken over.
///
/// A lock of ours whose answer was lost gets the new value, so that what was sent with the old one and
/// comes late does nothing.
///
/// A lock is stale when it cannot end, ends later than twice its lease from now (the server's clock may
/// have been set a little; no lease is longer than a day), or is no text: nobody has it, and it would
/// block this account for good.
/// An entry that is longer than any of ours is none.
///
/// PEXPIRE with LT says so with the rights that the users of running fleets have; PTTL says it before
/// Redis 7, and neither where the user may not ask.
pub(crate) const LOCK: &str = "\
local stale = false
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  local held = redis.pcall('GET', KEYS[1])
  if type(held) == 'table' then
    if not string.find(held.err, 'WRONGTYPE', 1, true) then return held end
    stale = true
  else
    local ours = held == ARGV[1]
    for i = 4, #ARGV do ours = ours or held == ARGV[i] end
    if not ours then
      local latest = 2 * math.min(string.match(held, '^%x+:(%d+)$') or ARGV[3], 86400000)
      local ends = redis.pcall('PEXPIRE', KEYS[1], string.format('%.0f', latest), 'LT')
      if type(ends) == 'table' then
        ends = redis.pcall('PTTL', KEYS[1])
        stale = type(ends) == 'number' and (ends == -1 or ends > latest)
      else
        stale = ends == 1
      end
      if not stale then return 0 end
    end
  end
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
local entry = redis.pcall('HGET', KEYS[2], 'entry')
if type(entry) == 'table' then
  if not string.find(entry.err, 'WRONGTYPE', 1, true) then
    redis.call('DEL', KEYS[1])
    return entry
  end
  entry = ''
end
if entry and #entry > 500000 then entry = '' end
if stale then return {entry or ''} end
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

/// KEYS: lock. ARGV: value, lease (ms). The lease begins anew; 0 where the lock was lost.
pub(crate) const RENEW: &str = "\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])";

/// KEYS: lock. ARGV: value. What is not ours stays.
pub(crate) const UNLOCK: &str = "\
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";

/// Whether a key can be written and removed, by each of the commands that the scripts above call.
pub(crate) const TRIAL: &str = "\
redis.call('SET', KEYS[1], '', 'PX', 1000)
redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'entry', '')
redis.call('PEXPIRE', KEYS[1], 1000)
return redis.call('DEL', KEYS[1])";

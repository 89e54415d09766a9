-- Puts a finished snapshot in the place of the changelog.
-- KEYS: meta, log, snapshot.
-- ARGV: token, sequence, number of parts, our format, try, tenure, how many shards there are.
-- A missing meta is a Redis that came back empty: the shard is then claimed with it.
local tok, ten, seq, snap, try, by =
  unpack(redis.call('HMGET', KEYS[1], 'tok', 'ten', 'seq', 'snap', 'try', 'by'))
local writer = ARGV[1] .. ':' .. ARGV[6]
-- Another's, or ours of an earlier time with the shard.
if tok and (tok ~= ARGV[1] or tonumber(ten or '0') > tonumber(ARGV[6])) then
  redis.call('UNLINK', KEYS[3])
  return 'FENCED'
end
if tok and seq == ARGV[2] and snap == ARGV[2] and by == writer then
  redis.call('UNLINK', KEYS[3])
  return 'DUP'
end
-- A try that was given up may still arrive: it must not undo what was written since.
if try and tonumber(try) >= tonumber(ARGV[5]) then
  redis.call('UNLINK', KEYS[3])
  return redis.error_reply('ERR a later try was applied')
end
if redis.call('XLEN', KEYS[3]) ~= tonumber(ARGV[3]) then
  return redis.error_reply('ERR parts of the snapshot are missing')
end

local lastid = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)[1][1]
-- Out of memory is checked before the first write only, and neither of these adds to it.
redis.call('UNLINK', KEYS[2])
redis.call('RENAME', KEYS[3], KEYS[2])
redis.call('PERSIST', KEYS[2])
redis.call('HSET', KEYS[1], 'tok', ARGV[1], 'ten', ARGV[6], 'seq', ARGV[2], 'lastid', lastid,
  'fmt', ARGV[4], 'snap', ARGV[2], 'try', ARGV[5], 'by', writer, 'of', ARGV[7])
return 'OK'

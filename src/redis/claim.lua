-- Takes the shard over: from now on every other token is fenced. The newer claim wins. Without a
-- token it only says, or fixes, of how many shards it is one.
-- KEYS: meta. ARGV: token, our format, how many shards there are, tenure.
-- Answers {'OK', sequence}, or having changed nothing {'NEWER', format} or {'OTHER', shards}.
local tok, seq, fmt, of, ten =
  unpack(redis.call('HMGET', KEYS[1], 'tok', 'seq', 'fmt', 'of', 'ten'))
if fmt and tonumber(fmt) > tonumber(ARGV[2]) then return {'NEWER', fmt} end
-- Before it was kept, there were always so many.
if tok and not of then of = '64' end
if of and of ~= ARGV[3] then return {'OTHER', of} end
redis.call('HSET', KEYS[1], 'of', ARGV[3])
if ARGV[1] == '' then return {'OK', seq or '0'} end
if tok ~= ARGV[1] then
  redis.call('HDEL', KEYS[1], 'try')
  ten = '0'
end
-- A claim that was given up may arrive after the next one.
if tonumber(ten or '0') < tonumber(ARGV[4]) then ten = ARGV[4] end
redis.call('HSET', KEYS[1], 'tok', ARGV[1], 'ten', ten, 'fmt', ARGV[2])
if not seq then redis.call('HSET', KEYS[1], 'seq', '0', 'lastid', '0-0') end
return {'OK', seq or '0'}

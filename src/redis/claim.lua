-- Takes the shard over: from now on every other token is fenced. The newer claim wins.
-- KEYS: meta. ARGV: token, our format.
-- Answers {'OK', sequence}, or {'NEWER', format} having changed nothing.
local tok, seq, fmt = unpack(redis.call('HMGET', KEYS[1], 'tok', 'seq', 'fmt'))
if fmt and tonumber(fmt) > tonumber(ARGV[2]) then return {'NEWER', fmt} end
if tok ~= ARGV[1] then redis.call('HDEL', KEYS[1], 'try') end
redis.call('HSET', KEYS[1], 'tok', ARGV[1], 'fmt', ARGV[2])
if not seq then redis.call('HSET', KEYS[1], 'seq', '0', 'lastid', '0-0') end
return {'OK', seq or '0'}

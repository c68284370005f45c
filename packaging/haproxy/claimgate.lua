-- Forward-auth for HAProxy, tested with 2.6. Loaded by `lua-load-per-thread`; the action takes the address to ask:
--
--   http-request lua.claimgate http://127.0.0.1:8080/auth/redirect
--   http-request deny deny_status 503 unless { var(txn.claimgate) -m found }
--
-- Asks Claimgate for every request. On 200 the request continues with the headers of the identity and without the
-- cookies of Claimgate; every other answer is the answer to the client. Without an answer the client gets 503.
--
-- The second line is part of the check: HAProxy goes on with a request whose script it aborted, because the client hung
-- up or a time was over. Only a script that admitted the request sets the variable.

-- Longest wait for an answer, in milliseconds.
local TIMEOUT = 5000
local IDENTITY = { "x-auth-user", "x-auth-email", "x-auth-teams", "x-auth-name" }
-- Headers of the client that decide whether it is shown a page, its session, and other methods and paths that it names.
local ASKED_WITH = {
  "cookie", "accept", "sec-fetch-mode", "upgrade", "x-requested-with", "authorization",
  "method-override", "x-http-method", "x-http-method-override", "x-http-verb-override", "x-method-override", "x-original-method",
  "x-envoy-original-path", "x-original-path", "x-original-uri", "x-original-url", "x-rewrite-uri", "x-rewrite-url",
  "x-waws-unencoded-url", "path-info", "script-name", "x-script-name",
}
-- Headers of a refusal or a redirection that the client gets.
local ANSWERED_WITH = { "location", "set-cookie", "content-type", "content-security-policy", "cache-control", "retry-after", "www-authenticate" }

-- Returns the values of a header as a list; HAProxy counts from 0.
local function values(headers, name)
  local list = {}
  for _, value in pairs(headers[name] or {}) do table.insert(list, value) end
  return list
end

-- Returns the headers of the question: one line each, because a list longer than HAProxy's limit ends the process.
local function question(txn)
  local received = txn.http:req_get_headers()
  -- A number, or a boolean where `tune.lua.bool-sample-conversion` is `normal`.
  local tls = txn.f:ssl_fc()
  local headers = {
    ["x-forwarded-uri"] = { txn.sf:pathq() },
    ["x-forwarded-host"] = { values(received, "host")[1] },
    ["x-forwarded-proto"] = { (tls == 1 or tls == true) and "https" or "http" },
    ["x-forwarded-method"] = { txn.sf:method() },
    ["x-forwarded-for"] = { txn.sf:src() },
  }
  for _, name in ipairs(ASKED_WITH) do
    local separator = name == "cookie" and "; " or ", "
    if received[name] then headers[name] = { table.concat(values(received, name), separator) } end
  end
  return headers
end

-- Removes the cookies of Claimgate from the request.
local function keep_application_cookies(txn)
  local kept = {}
  for _, header in ipairs(values(txn.http:req_get_headers(), "cookie")) do
    for cookie in header:gmatch("[^;]+") do
      local name = cookie:match("^%s*([^=]*)"):gsub("^__Host%-", ""):gsub("^__Secure%-", "")
      if not name:find("^claimgate") then table.insert(kept, (cookie:gsub("^%s+", ""))) end
    end
  end
  txn.http:req_del_header("cookie")
  if #kept > 0 then txn.http:req_add_header("cookie", table.concat(kept, "; ")) end
end

local function refuse(txn, status, headers, body)
  local reply = txn:reply()
  reply:set_status(status)
  for _, name in ipairs(ANSWERED_WITH) do
    for _, value in ipairs(values(headers, name)) do reply:add_header(name, value) end
  end
  reply:set_body(body)
  txn:done(reply)
end

core.register_action("claimgate", { "http-req" }, function(txn, address)
  local answer = core.httpclient():get({ url = address, headers = question(txn), timeout = TIMEOUT })
  if not answer or answer.status == 0 or answer.status >= 500 then
    return refuse(txn, 503, { ["content-type"] = { "text/plain" } }, "The sign-in service does not answer. Try again in a minute.\n")
  end
  if answer.status ~= 200 then
    return refuse(txn, answer.status, answer.headers, answer.body or "")
  end
  for _, name in ipairs(IDENTITY) do
    txn.http:req_set_header(name, table.concat(values(answer.headers, name), ","))
  end
  keep_application_cookies(txn)
  txn:set_var("txn.claimgate", 1)
end, 1)

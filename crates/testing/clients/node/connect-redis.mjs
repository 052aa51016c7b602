// A small web application with express-session and connect-redis: login, requests that change the
// session, one that only reads it, another user, logout.

import { RedisStore } from 'connect-redis';
import express from 'express';
import session from 'express-session';
import { createClient } from 'redis';
import { open, saw, secret, url } from './saw.mjs';

const redis = createClient({ url });
await redis.connect();
const store = new RedisStore({ client: redis, prefix: 'sess:', ttl: 7200 });
let users = 0;

const app = express();
app.use(
  session({
    store,
    secret: 'cookies are signed with this',
    resave: false,
    saveUninitialized: false,
    // A session's id is a secret in production; here it must be the same in each run.
    genid: () => `usuario-${(users += 1)}`,
  }),
);
app.get('/login/:name', async (request, response) => {
  request.session.user = secret(request.params.name);
  request.session.visits = 0;
  await redis.incr('visits:total');
  response.json({ welcome: request.session.user });
});
app.get('/visit', (request, response) => {
  if (!request.session.user) return response.status(401).json({ error: 'who are you' });
  request.session.visits += 1;
  request.session.cart = [...(request.session.cart ?? []), secret(`cosa ${request.session.visits}`)];
  return response.json({ visits: request.session.visits, cart: request.session.cart });
});
app.get('/me', (request, response) => response.json({ user: request.session.user ?? null }));
app.get('/logout', (request, response, next) => {
  request.session.destroy((error) => (error ? next(error) : response.json({ bye: true })));
});
const server = await new Promise((done) => {
  const listening = app.listen(0, '127.0.0.1', () => done(listening));
});

async function get(path, cookie) {
  const response = await fetch(`http://127.0.0.1:${server.address().port}${path}`, {
    headers: cookie ? { cookie } : {},
  });
  const given = response.headers.get('set-cookie')?.split(';')[0];
  return { status: response.status, body: await response.json(), cookie: given ?? cookie };
}

await redis.set('lock:sess:1', open('abierto'));
const nobody = await get('/visit');
saw('without a session', [nobody.status, nobody.cookie ?? null], [401, null]);
const ana = await get('/login/Ana');
saw('login', ana.body, { welcome: secret('Ana') });
const eva = await get('/login/Eva');
saw('another login', eva.body, { welcome: secret('Eva') });
for (let visit = 1; visit <= 3; visit += 1) {
  const answer = await get('/visit', ana.cookie);
  const cart = Array.from({ length: visit }, (_, at) => secret(`cosa ${at + 1}`));
  saw('visit', answer.body, { visits: visit, cart });
}
saw('the other', (await get('/me', eva.cookie)).body, { user: secret('Eva') });
saw('ids', (await store.ids()).sort(), [...sessions()].sort());
saw('count', await store.length(), 2);
const touched = await redis.ttl('sess:usuario-2');
saw('expires', touched > 7000 && touched <= 7200, true);
saw('logout', (await get('/logout', eva.cookie)).body, { bye: true });
saw('after it', (await get('/me', eva.cookie)).body, { user: null });
saw('still there', (await get('/me', ana.cookie)).body, { user: secret('Ana') });
saw('raw', JSON.parse(await redis.get(`sess:${sessions()[0]}`)).user, secret('Ana'));
saw('total', await redis.get('visits:total'), '2');

server.close();
server.closeAllConnections();
await redis.close();

/** The ids of the two logins: the request without a session had one that was never stored. */
function sessions() {
  return [ana, eva].map(({ cookie }) => decodeURIComponent(cookie).match(/s:(.*)\./)[1]);
}

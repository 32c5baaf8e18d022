// A client of linegate's development issuer, written with npm openid-client,
// which checks every answer by the RFCs. Arguments: the flow, the issuer, and the
// gateway that must accept what the flow yields.
//
// Where a person is needed it prints one line, "open ADDRESS" or "enter CODE at
// ADDRESS", and after the former waits for the address to which the person's
// browser was sent back. At the end it prints "done". Tokens are never printed.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

import * as client from 'openid-client';

const [flow, issuer, gateway] = process.argv.slice(2);

// Any port will do (RFC 8252 section 7.3): nobody listens, the test looks at
// where the browser was sent.
const redirect = 'http://127.0.0.1:49152/callback';
const scope = 'line:connect offline_access';

const flows = {
  // Both well-known paths, RFC 8414 and OpenID Connect Discovery.
  async discovery() {
    for (const algorithm of ['oauth2', 'oidc']) {
      const config = await discover('linegatectl', client.None(), algorithm);
      const metadata = config.serverMetadata();
      assert.equal(metadata.issuer, issuer);
      assert.ok(metadata.supportsPKCE('S256'));
      assert.equal(metadata.authorization_response_iss_parameter_supported, true);
      for (const endpoint of ['authorization', 'token', 'device_authorization', 'revocation', 'introspection']) {
        assert.ok(metadata[`${endpoint}_endpoint`].startsWith(issuer), endpoint);
      }
    }
  },

  async 'client credentials'() {
    for (const method of [client.ClientSecretBasic, client.ClientSecretPost]) {
      const config = await discover('dev-device', method('dev-secret'));
      const granted = await client.clientCredentialsGrant(config, { scope: 'line:connect' });
      assert.equal(granted.refresh_token, undefined);
      await accepted(granted, 'dev-device');
      await refused('invalid_scope', client.clientCredentialsGrant(config, { scope: 'more' }));

      const guess = await discover('dev-device', method('guessed'));
      await challenged(client.clientCredentialsGrant(guess));
    }
  },

  async 'authorization code'() {
    const config = await discover('linegatectl', client.None());
    const granted = await login(config);
    assert.equal(granted.scope, scope);
    await accepted(granted, 'alice');
    await refreshed(config, granted, 'alice');
  },

  async 'denied consent'() {
    const config = await discover('linegatectl', client.None());
    await assert.rejects(login(config), { name: 'AuthorizationResponseError', error: 'access_denied' });
  },

  // Each needs a new code, and so the person, who is asked for each in turn.
  async 'misused code'() {
    const config = await discover('linegatectl', client.None());

    const stolen = await authorize(config);
    await refused('invalid_grant', stolen.exchange({ pkceCodeVerifier: client.randomPKCECodeVerifier() }));

    const used = await authorize(config);
    const granted = await used.exchange();
    await refused('invalid_grant', used.exchange());
    await refused('invalid_grant', client.refreshTokenGrant(config, granted.refresh_token));

    const moved = await authorize(config);
    moved.back.pathname = '/elsewhere';
    await refused('invalid_grant', moved.exchange());

    const foreign = await authorize(config);
    await assert.rejects(foreign.exchange({ expectedState: 'another' }), { code: 'OAUTH_INVALID_RESPONSE' });
    foreign.back.searchParams.set('iss', 'https://other.example.com');
    await assert.rejects(foreign.exchange(), { code: 'OAUTH_INVALID_RESPONSE' });
  },

  async 'device flow'() {
    const config = await discover('linegatectl', client.None());
    const granted = await device(config);
    await accepted(granted, 'alice');
    await refreshed(config, granted, 'alice');
  },

  async 'denied device'() {
    const config = await discover('linegatectl', client.None());
    await refused('access_denied', device(config));
  },

  async 'revocation and introspection'() {
    const config = await discover('linegatectl', client.None());
    const server = await discover('dev-device', client.ClientSecretBasic('dev-secret'));
    const granted = await login(config);

    const worth = await client.tokenIntrospection(server, granted.access_token);
    assert.equal(worth.active, true);
    assert.equal(worth.sub, 'alice');
    assert.equal(worth.client_id, 'linegatectl');
    assert.equal(worth.scope, scope);
    await challenged(client.tokenIntrospection(config, granted.access_token));

    await client.tokenRevocation(config, granted.refresh_token, { token_type_hint: 'refresh_token' });
    for (const token of [granted.refresh_token, granted.access_token, 'unknown']) {
      assert.equal((await client.tokenIntrospection(server, token)).active, false);
    }
    await refused('invalid_grant', client.refreshTokenGrant(config, granted.refresh_token));
    await client.tokenRevocation(config, 'unknown');
  },
};

assert.ok(flow in flows, `no flow ${flow}`);
const typed = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
await flows[flow]();
console.log('done');
process.exit();

function discover(id, authentication, algorithm = 'oauth2') {
  return client.discovery(new URL(issuer), id, undefined, authentication, {
    algorithm,
    execute: [client.allowInsecureRequests], // loopback has no TLS
  });
}

// authorize sends the person to the authorization server and returns how to
// exchange what came back.
async function authorize(config) {
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  console.log('open', client.buildAuthorizationUrl(config, {
    redirect_uri: redirect,
    scope,
    state,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  }).href);
  const back = new URL((await typed.next()).value);
  const checks = { pkceCodeVerifier: verifier, expectedState: state };
  return { back, exchange: (others) => client.authorizationCodeGrant(config, back, { ...checks, ...others }) };
}

async function login(config) {
  return (await authorize(config)).exchange();
}

async function device(config) {
  const asked = await client.initiateDeviceAuthorization(config, { scope });
  assert.ok(asked.verification_uri_complete.includes(asked.user_code));
  console.log('enter', asked.user_code, 'at', asked.verification_uri);
  return client.pollDeviceAuthorizationGrant(config, asked);
}

// refreshed spends the refresh token, and then what is left of it twice: a
// stolen one ends the family (RFC 9700 section 4.14).
async function refreshed(config, granted, subject) {
  const renewed = await client.refreshTokenGrant(config, granted.refresh_token);
  assert.notEqual(renewed.refresh_token, granted.refresh_token);
  await accepted(renewed, subject);
  await refused('invalid_grant', client.refreshTokenGrant(config, granted.refresh_token));
  await refused('invalid_grant', client.refreshTokenGrant(config, renewed.refresh_token));
}

function refused(error, promise) {
  return assert.rejects(promise, { name: 'ResponseBodyError', error });
}

// challenged is what openid-client makes of invalid_client (RFC 6749 section 5.2).
function challenged(promise) {
  return assert.rejects(promise, { name: 'WWWAuthenticateChallengeError', status: 401 });
}

// accepted opens a session with the gateway.
async function accepted(granted, subject) {
  assert.equal(granted.token_type, 'bearer');
  assert.ok(granted.expires_in > 0);
  const [host, port] = gateway.split(':');
  const socket = connect(port, host);
  socket.write(`AUTH ${granted.access_token}\n`);
  const [answer] = await once(createInterface({ input: socket }), 'line');
  socket.destroy();
  assert.ok(answer.startsWith(`OK AUTH v=1 sub=${subject} `), answer);
}

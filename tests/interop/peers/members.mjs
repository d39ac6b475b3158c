// Members of groups, whatever the version of ts-mls: `mls` is what a version does, with one face.
//
// A state of ts-mls is a value: a commit is staged beside it and merged or dropped, as ours is.
// ts-mls gives no way to propose an Update of one's own leaf; the key for it is kept here, and put
// in place before a commit that takes the Update up is followed.

import { p256, p384, p521 } from "@noble/curves/nist.js";
import { bytes, hex } from "./lines.mjs";

const EXPORTED = 32;

const CURVES = { 33: p256, 49: p384, 67: p521 };

/** ts-mls makes compressed ECDSA keys; section 5.1.1 wants them uncompressed, and ts-mls reads both. */
async function signatureKeys(cs) {
  const { signKey, publicKey } = await cs.signature.keygen();
  const curve = CURVES[publicKey.length];
  return { signKey, publicKey: curve ? curve.Point.fromBytes(publicKey).toBytes(false) : publicKey };
}

/**
 * ts-mls writes external_pub as a bare key and reads it so; it is a structure with one vector in it
 * (12.4.3.2). So the suite that a GroupInfo is made with puts a length on, and the one that reads a
 * received key takes it off.
 */
export function withLengthOnKeys(cs) {
  const { exportPublicKey } = cs.hpke;
  return { ...cs, hpke: { ...cs.hpke, exportPublicKey: async (key) => withLength(await exportPublicKey(key)) } };
}

export function readingLength(cs, received) {
  const { importPublicKey } = cs.hpke;
  const read = (key) => importPublicKey(key === received ? withoutLength(key) : key);
  return { ...cs, hpke: { ...cs.hpke, importPublicKey: read } };
}

function withLength(data) {
  if (data.length < 64) return new Uint8Array([data.length, ...data]);
  return new Uint8Array([0x40 | (data.length >> 8), data.length & 0xff, ...data]);
}

function withoutLength(data) {
  const bare = data.subarray(data[0] < 0x40 ? 1 : 2);
  if (hex(withLength(bare)) !== hex(data)) throw new RangeError("external_pub is no vector");
  return bare;
}

/** What the signature of an Update's leaf covers: the leaf without it, the group and the place (7.2). */
export function leafNodeTBS(unsigned, { groupContext, privatePath }) {
  const { groupId } = groupContext;
  if (groupId.length > 63) throw new RangeError("a group id of one length byte");
  const place = new Uint8Array(4);
  new DataView(place.buffer).setUint32(0, privatePath.leafIndex);
  const withoutSignature = unsigned.subarray(0, -1); // an empty signature is its length byte
  return new Uint8Array([...withoutSignature, groupId.length, ...groupId, ...place]);
}

export function verbsOf(mls) {
  const members = new Map();
  const psks = {};
  const of = ({ member }) => members.get(member);

  const changed = (who, state) => {
    who.state = state;
    who.staged = undefined;
    who.update = undefined;
  };

  const takesUp = (incoming, update) =>
    incoming.kind === "commit" &&
    incoming.proposals.some(({ proposal }) => {
      const leaf = proposal.update?.leafNode;
      return leaf !== undefined && hex(leaf.hpkePublicKey) === hex(update.publicKey);
    });

  const withUpdate = async (who, message) => {
    let taken = false;
    const look = (incoming) => {
      taken ||= takesUp(incoming, who.update);
      return "reject"; // nothing of this first reading is kept
    };
    await mls.process(who.suite, who.state, message, psks, look);
    if (!taken) return who.state;
    const path = who.state.privatePath;
    const keys = { ...path.privateKeys, [2 * path.leafIndex]: who.update.privateKey };
    return { ...who.state, privatePath: { ...path, privateKeys: keys } };
  };

  return {
    async key_package({ member, name, suite, keep_keys: keepKeys }) {
      const cs = await mls.suite(suite);
      const old = members.get(member);
      const keys = keepKeys ? old.keys : await signatureKeys(cs);
      const made = await mls.makeKeyPackage(cs, new TextEncoder().encode(name), keys);
      members.set(member, { suite: cs, keys, package: made });
      return hex(mls.encodeKeyPackage(made.publicPackage));
    },

    async create({ member, group, extensions }) {
      const who = of({ member });
      const decoded = mls.decodeExtensions(bytes(extensions));
      changed(who, await mls.create(who.suite, bytes(group), who.package, decoded));
    },

    async join({ member, welcome, tree, origin }) {
      const who = of({ member });
      const from = origin === null ? undefined : members.get(origin).state;
      const known = tree === null ? undefined : mls.decodeTree(bytes(tree));
      const opened = mls.decode(bytes(welcome)).welcome;
      changed(who, await mls.join(who.suite, opened, who.package, known, psks, from));
    },

    async stage({ member, proposals, in_public: inPublic, tree_inside: treeInside, data }) {
      const who = of({ member });
      const extra = proposals.map((each) => mls.decodeProposal(bytes(each)));
      const options = { extra, inPublic, treeInside, data: bytes(data) };
      const made = await mls.commit(who.suite, who.state, options, psks);
      who.staged = made.state;
      return {
        message: hex(made.message),
        welcome: made.welcome === undefined ? null : hex(made.welcome),
        tree: hex(mls.encodeTree(made.state.ratchetTree)),
      };
    },

    merge: ({ member }) => changed(of({ member }), of({ member }).staged),

    drop({ member }) {
      of({ member }).staged = undefined;
    },

    async propose({ member, proposal, in_public: inPublic }) {
      const who = of({ member });
      const made = await mls.propose(who.suite, who.state, mls.decodeProposal(bytes(proposal)), inPublic);
      who.state = made.state;
      return hex(made.message);
    },

    async propose_update({ member, in_public: inPublic }) {
      const who = of({ member });
      const cs = who.suite;
      const pair = await cs.hpke.generateKeyPair();
      const publicKey = await cs.hpke.exportPublicKey(pair.publicKey);
      const made = await mls.propose(cs, who.state, await mls.updateOf(cs, who.state, publicKey), inPublic);
      who.state = made.state;
      who.update = { publicKey, privateKey: await cs.hpke.exportPrivateKey(pair.privateKey) };
      return hex(made.message);
    },

    async receive({ member, message }) {
      const who = of({ member });
      const decoded = mls.decode(bytes(message));
      const state = who.update === undefined ? who.state : await withUpdate(who, decoded);
      const result = await mls.process(who.suite, state, decoded, psks, () => "accept");
      if (result.kind === "applicationMessage") {
        who.state = result.newState;
        return { text: hex(result.message) };
      }
      if (result.newState.groupContext.epoch === who.state.groupContext.epoch) who.state = result.newState;
      else changed(who, result.newState);
      return { text: null };
    },

    async say({ member, text, data }) {
      const who = of({ member });
      const made = await mls.say(who.suite, who.state, bytes(text), bytes(data));
      who.state = made.state;
      return hex(made.message);
    },

    async view({ member, label, context }) {
      const { suite, state } = of({ member });
      const secret = state.keySchedule.exporterSecret;
      return {
        epoch: Number(state.groupContext.epoch),
        leaf: state.privatePath.leafIndex,
        active: state.groupActiveState.kind === "active",
        authenticator: hex(state.keySchedule.epochAuthenticator),
        tree: hex(mls.encodeTree(state.ratchetTree)),
        context: hex(mls.encodeContext(state.groupContext)),
        exported: hex(await mls.exporter(secret, label, bytes(context), EXPORTED, suite)),
      };
    },

    async group_info({ member, tree_inside: treeInside }) {
      const who = of({ member });
      return hex(await mls.groupInfo(who.suite, who.state, treeInside));
    },

    async join_externally({ member, group_info: info, tree, resync }) {
      const who = of({ member });
      const { groupInfo } = mls.decode(bytes(info));
      const known = tree === null ? undefined : mls.decodeTree(bytes(tree));
      const made = await mls.joinExternally(who.suite, groupInfo, who.package, known, resync);
      who.staged = made.state;
      return hex(made.message);
    },

    async ask_to_be_added({ member, group_info: info }) {
      const who = of({ member });
      const { groupInfo } = mls.decode(bytes(info));
      return hex(await mls.askToBeAdded(who.suite, groupInfo, who.package));
    },

    async continue_as({ member, origin, usage, group, suite, packages, extensions }) {
      const who = of({ member });
      const others = packages.map((each) => mls.decode(bytes(each)).keyPackage);
      const next = { usage, group: bytes(group), suite, extensions: mls.decodeExtensions(bytes(extensions)) };
      const made = await mls.continueAs(who.suite, members.get(origin).state, who.package, others, next);
      changed(who, made.state);
      return hex(made.welcome);
    },

    psk({ id, secret }) {
      psks[Buffer.from(id, "hex").toString("base64")] = bytes(secret);
    },

    forget({ member }) {
      members.delete(member);
    },
  };
}

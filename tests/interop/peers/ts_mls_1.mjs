// ts-mls 1.x as a member of our groups.

import * as ts from "ts-mls";
import { encodeGroupContext } from "ts-mls/groupContext.js";
import { encodeLeafNode } from "ts-mls/leafNode.js";
import { decodeGroupContextExtensions, decodeProposal } from "ts-mls/proposal.js";
import { decodeRatchetTree, encodeRatchetTree } from "ts-mls/ratchetTree.js";
import { signWithLabel } from "ts-mls/crypto/signature.js";
import { getOwnLeafNode } from "ts-mls/clientState.js";
import { serve } from "./lines.mjs";
import { leafNodeTBS, readingLength, verbsOf, withLengthOnKeys } from "./members.mjs";

const PRIVATE_EXTENSION = 0xf001;
const version = "mls10";
const names = Object.fromEntries(Object.entries(ts.ciphersuites).map(([name, number]) => [number, name]));

const index = (state, psks) => ts.makePskIndex(state, psks ?? {});
const whole = (decoder) => (data) => decoder(data, 0)?.[0];
const welcomed = (welcome) => ts.encodeMlsMessage({ version, wireformat: "mls_welcome", welcome });

const mls = {
  suite: (number) => ts.getCiphersuiteImpl(ts.getCiphersuiteFromName(names[number])),

  makeKeyPackage(cs, identity, keys) {
    const capabilities = ts.defaultCapabilities();
    capabilities.extensions.push(PRIVATE_EXTENSION);
    const credential = { credentialType: "basic", identity };
    return ts.generateKeyPackageWithKey(credential, capabilities, ts.defaultLifetime, [], keys, cs);
  },

  encodeKeyPackage: (keyPackage) => ts.encodeMlsMessage({ version, wireformat: "mls_key_package", keyPackage }),
  decode: whole(ts.decodeMlsMessage),
  decodeProposal: whole(decodeProposal),
  decodeExtensions: (data) => whole(decodeGroupContextExtensions)(data).extensions,
  decodeTree: whole(decodeRatchetTree),
  encodeTree: encodeRatchetTree,
  encodeContext: encodeGroupContext,
  exporter: ts.mlsExporter,

  create: (cs, groupId, own, extensions) =>
    ts.createGroup(groupId, own.publicPackage, own.privatePackage, extensions, cs),

  join(cs, welcome, own, tree, psks, origin) {
    const keys = [welcome, own.publicPackage, own.privatePackage];
    if (origin === undefined) return ts.joinGroup(...keys, index(undefined, psks), cs, tree);
    return origin.groupActiveState.kind === "suspendedPendingReinit"
      ? ts.joinGroupFromReinit(origin, ...keys, tree)
      : ts.joinGroupFromBranch(origin, ...keys, tree, cs);
  },

  async commit(cs, state, { extra, inPublic, treeInside, data }, psks) {
    const options = {
      extraProposals: extra,
      wireAsPublicMessage: inPublic,
      ratchetTreeExtension: treeInside,
      authenticatedData: data,
    };
    const made = await ts.createCommit({ state, cipherSuite: cs, pskIndex: index(state, psks) }, options);
    const welcome = made.welcome === undefined ? undefined : welcomed(made.welcome);
    return { state: made.newState, message: ts.encodeMlsMessage(made.commit), welcome };
  },

  async propose(cs, state, proposal, inPublic) {
    const { newState, message } = await ts.createProposal(state, inPublic, proposal, cs);
    return { state: newState, message: ts.encodeMlsMessage(message) };
  },

  async updateOf(cs, state, hpkePublicKey) {
    const { credential, capabilities, extensions, signaturePublicKey } = getOwnLeafNode(state);
    const leaf = {
      ...{ credential, capabilities, extensions, signaturePublicKey, hpkePublicKey },
      leafNodeSource: "update",
      signature: new Uint8Array(),
    };
    const signed = leafNodeTBS(encodeLeafNode(leaf), state);
    const signature = await signWithLabel(state.signaturePrivateKey, "LeafNodeTBS", signed, cs.signature);
    return { proposalType: "update", update: { leafNode: { ...leaf, signature } } };
  },

  process(cs, state, message, psks, callback) {
    return message.wireformat === "mls_public_message"
      ? ts.processPublicMessage(state, message.publicMessage, index(state, psks), cs, callback)
      : ts.processPrivateMessage(state, message.privateMessage, index(state, psks), cs, callback);
  },

  async say(cs, state, text, data) {
    const { newState, privateMessage } = await ts.createApplicationMessage(state, text, cs, data);
    const message = { version, wireformat: "mls_private_message", privateMessage };
    return { state: newState, message: ts.encodeMlsMessage(message) };
  },

  async groupInfo(cs, state, treeInside) {
    const make = treeInside ? ts.createGroupInfoWithExternalPubAndRatchetTree : ts.createGroupInfoWithExternalPub;
    const groupInfo = await make(state, [], withLengthOnKeys(cs));
    return ts.encodeMlsMessage({ version, wireformat: "mls_group_info", groupInfo });
  },

  async joinExternally(cs, groupInfo, own, tree, resync) {
    const keys = [own.publicPackage, own.privatePackage];
    const received = groupInfo.extensions.find((each) => each.extensionType === "external_pub")?.extensionData;
    const reading = readingLength(cs, received);
    const { newState, publicMessage } = await ts.joinGroupExternal(groupInfo, ...keys, resync, reading, tree);
    const message = { version, wireformat: "mls_public_message", publicMessage };
    return { state: newState, message: ts.encodeMlsMessage(message) };
  },

  askToBeAdded: async (cs, groupInfo, own) =>
    ts.encodeMlsMessage(await ts.proposeAddExternal(groupInfo, own.publicPackage, own.privatePackage, cs)),

  async continueAs(cs, state, own, others, { usage, group, suite, extensions }) {
    const keys = [own.publicPackage, own.privatePackage, others];
    const made =
      usage === "branch"
        ? await ts.branchGroup(state, ...keys, group, cs)
        : await ts.reinitCreateNewGroup(state, ...keys, group, names[suite], extensions);
    return { state: made.newState, welcome: welcomed(made.welcome) };
  },
};

await serve(verbsOf(mls));

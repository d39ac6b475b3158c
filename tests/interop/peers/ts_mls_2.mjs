// ts-mls 2.x as a member of our groups.

import * as ts from "ts-mls";

// Not exported by the package, but needed to speak of trees and single proposals in bytes.
import { groupContextEncoder } from "./node_modules/ts-mls/dist/src/groupContext.js";
import { leafNodeEncoder } from "./node_modules/ts-mls/dist/src/leafNode.js";
import { groupContextExtensionsDecoder, proposalDecoder } from "./node_modules/ts-mls/dist/src/proposal.js";
import { ratchetTreeDecoder, ratchetTreeEncoder } from "./node_modules/ts-mls/dist/src/ratchetTree.js";
import { signWithLabel } from "./node_modules/ts-mls/dist/src/crypto/signature.js";
import { serve } from "./lines.mjs";
import { leafNodeTBS, readingLength, verbsOf, withLengthOnKeys } from "./members.mjs";

const PRIVATE_EXTENSION = 0xf001;
const names = Object.fromEntries(Object.entries(ts.ciphersuites).map(([name, number]) => [number, name]));
const authService = ts.unsafeTestingAuthenticationService;

const context = (cipherSuite, psks) => ({ cipherSuite, authService, externalPsks: psks ?? {} });
const encoded = (message) => ts.encode(ts.mlsMessageEncoder, message);
const framed = (wireformat, body) => encoded({ version: ts.protocolVersions.mls10, wireformat, ...body });
const withState = ({ newState, message }) => ({ state: newState, message: encoded(message) });

const mls = {
  suite: (number) => ts.getCiphersuiteImpl(names[number]),

  makeKeyPackage(cs, identity, signatureKeyPair) {
    const capabilities = ts.defaultCapabilities();
    capabilities.extensions.push(PRIVATE_EXTENSION);
    const credential = { credentialType: ts.defaultCredentialTypes.basic, identity };
    return ts.generateKeyPackageWithKey({ credential, capabilities, signatureKeyPair, cipherSuite: cs });
  },

  encodeKeyPackage: (keyPackage) => framed(ts.wireformats.mls_key_package, { keyPackage }),
  decode: (data) => ts.decode(ts.mlsMessageDecoder, data),
  decodeProposal: (data) => ts.decode(proposalDecoder, data),
  decodeExtensions: (data) => ts.decode(groupContextExtensionsDecoder, data).extensions,
  decodeTree: (data) => ts.decode(ratchetTreeDecoder, data),
  encodeTree: (tree) => ts.encode(ratchetTreeEncoder, tree),
  encodeContext: (value) => ts.encode(groupContextEncoder, value),
  exporter: ts.mlsExporter,

  create: (cs, groupId, own, extensions) =>
    ts.createGroup({
      context: context(cs),
      groupId,
      keyPackage: own.publicPackage,
      privateKeyPackage: own.privatePackage,
      extensions,
    }),

  join(cs, welcome, own, ratchetTree, psks, origin) {
    const known = { context: context(cs, psks), welcome, keyPackage: own.publicPackage, ratchetTree };
    if (origin === undefined) return ts.joinGroup({ ...known, privateKeys: own.privatePackage });
    const links = { ...known, privateKeyPackage: own.privatePackage };
    return origin.groupActiveState.kind === "suspendedPendingReinit"
      ? ts.joinGroupFromReinit({ ...links, suspendedState: origin })
      : ts.joinGroupFromBranch({ ...links, oldState: origin });
  },

  async commit(cs, state, { extra, inPublic, treeInside, data }, psks) {
    const made = await ts.createCommit({
      context: context(cs, psks),
      state,
      extraProposals: extra,
      wireAsPublicMessage: inPublic,
      ratchetTreeExtension: treeInside,
      authenticatedData: data,
    });
    const welcome = made.welcome === undefined ? undefined : encoded(made.welcome);
    return { state: made.newState, message: encoded(made.commit), welcome };
  },

  propose: async (cs, state, proposal, wireAsPublicMessage) =>
    withState(await ts.createProposal({ context: context(cs), state, proposal, wireAsPublicMessage })),

  async updateOf(cs, state, hpkePublicKey) {
    const { credential, capabilities, extensions, signaturePublicKey } = ts.getOwnLeafNode(state);
    const leaf = {
      ...{ credential, capabilities, extensions, signaturePublicKey, hpkePublicKey },
      leafNodeSource: ts.leafNodeSources.update,
      signature: new Uint8Array(),
    };
    const signed = leafNodeTBS(ts.encode(leafNodeEncoder, leaf), state);
    const signature = await signWithLabel(state.signaturePrivateKey, "LeafNodeTBS", signed, cs.signature);
    return { proposalType: ts.defaultProposalTypes.update, update: { leafNode: { ...leaf, signature } } };
  },

  // Not `processMessage`: for a PrivateMessage it forgets the pre-shared keys of its context.
  async process(cs, state, message, psks, callback) {
    const known = { context: context(cs, psks), state, callback };
    return message.wireformat === ts.wireformats.mls_public_message
      ? ts.processPublicMessage({ ...known, publicMessage: message.publicMessage })
      : ts.processPrivateMessage({ ...known, privateMessage: message.privateMessage });
  },

  say: async (cs, state, message, authenticatedData) =>
    withState(await ts.createApplicationMessage({ context: context(cs), state, message, authenticatedData })),

  async groupInfo(cs, state, treeInside) {
    const make = treeInside ? ts.createGroupInfoWithExternalPubAndRatchetTree : ts.createGroupInfoWithExternalPub;
    return framed(ts.wireformats.mls_group_info, { groupInfo: await make(state, [], withLengthOnKeys(cs)) });
  },

  async joinExternally(cs, groupInfo, own, tree, resync) {
    const isKey = ({ extensionType }) => extensionType === ts.defaultExtensionTypes.external_pub;
    const received = groupInfo.extensions.find(isKey)?.extensionData;
    const { newState, publicMessage } = await ts.joinGroupExternal({
      context: context(readingLength(cs, received)),
      groupInfo,
      keyPackage: own.publicPackage,
      privateKeys: own.privatePackage,
      tree,
      resync,
    });
    return { state: newState, message: framed(ts.wireformats.mls_public_message, { publicMessage }) };
  },

  askToBeAdded: async (cs, groupInfo, own) =>
    encoded(await ts.proposeAddExternal(groupInfo, own.publicPackage, own.privatePackage, cs)),

  async continueAs(cs, state, own, memberKeyPackages, { usage, group, suite, extensions }) {
    const known = {
      context: context(cs),
      state,
      keyPackage: own.publicPackage,
      privateKeyPackage: own.privatePackage,
      memberKeyPackages,
    };
    const made =
      usage === "branch"
        ? await ts.branchGroup({ ...known, newGroupId: group })
        : await ts.reinitCreateNewGroup({ ...known, groupId: group, cipherSuite: names[suite], extensions });
    return { state: made.newState, welcome: encoded(made.welcome) };
  },
};

await serve(verbsOf(mls));

import { createHash } from "node:crypto";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  type EnumDescriptorProto,
  type FieldDescriptorProto,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  FieldDescriptorProto_Label as Label,
  type ServiceDescriptorProto,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";

/** The leading comment of whatever lies at a path of a file's descriptor; see `SourceCodeInfo` in descriptor.proto. */
type Comments = (...path: number[]) => string;

/** Numbers of fields in descriptor.proto, of which paths are made. */
const at = { messages: 4, enums: 5, services: 6, members: 2, nested: 3, nestedEnums: 4, package: 2, syntax: 12 };

/**
 * The contract's reference in Markdown, made from the comments of the `.proto` files.
 *
 * @param descriptorSet a serialised `FileDescriptorSet` with source information
 */
export function contractReference(descriptorSet: Uint8Array): string {
  return [
    "# The contract",
    "Made from the comments of [the `.proto` files](../proto/bilancia/v1); `UPDATE_REFERENCE=1 npm test` writes it anew.",
    ...contractFiles(descriptorSet).flatMap(fileSection),
    "",
  ].join("\n\n");
}

/** Twelve hexadecimal digits that change with anything in the contract but its comments. */
export function contractFingerprint(descriptorSet: Uint8Array): string {
  const hash = createHash("sha256");
  for (const { sourceCodeInfo: _, ...file } of contractFiles(descriptorSet))
    hash.update(toBinary(FileDescriptorProtoSchema, file));
  return hash.digest("hex").slice(0, 12);
}

function contractFiles(descriptorSet: Uint8Array): FileDescriptorProto[] {
  const { file } = fromBinary(FileDescriptorSetSchema, descriptorSet);
  return file.filter((one) => one.package === "bilancia.v1");
}

function fileSection(file: FileDescriptorProto): string[] {
  const comments = commentsOf(file);
  return [
    `## ${file.name}`,
    comments(at.syntax),
    ...file.service.flatMap((service, index) => serviceSection(service, comments, [at.services, index])),
    ...file.messageType.flatMap((message, index) => messageSection(message, "", comments, [at.messages, index])),
    ...file.enumType.flatMap((one, index) => enumSection(one, "", comments, [at.enums, index])),
  ].filter((text) => text !== "");
}

function serviceSection(service: ServiceDescriptorProto, comments: Comments, path: number[]): string[] {
  return [
    `### service ${service.name}`,
    comments(...path),
    ...service.method.flatMap((method, index) => {
      const request = `${method.clientStreaming ? "stream " : ""}${simple(method.inputType)}`;
      const response = `${method.serverStreaming ? "stream " : ""}${simple(method.outputType)}`;
      return [
        `#### ${service.name}.${method.name}`,
        `\`(${request}) → ${response}\``,
        comments(...path, at.members, index),
      ];
    }),
  ];
}

function messageSection(message: DescriptorProto, prefix: string, comments: Comments, path: number[]): string[] {
  const name = `${prefix}${message.name}`;
  const rows = message.field.map((field, index) => [
    String(field.number),
    `\`${field.name}\``,
    typeOf(field, message),
    comments(...path, at.members, index),
  ]);
  return [
    `### message ${name}`,
    comments(...path),
    ...(rows.length > 0 ? [table(["no.", "field", "type", "meaning"], rows)] : []),
    ...message.nestedType.flatMap((nested, index) =>
      nested.options?.mapEntry ? [] : messageSection(nested, `${name}.`, comments, [...path, at.nested, index]),
    ),
    ...message.enumType.flatMap((one, index) =>
      enumSection(one, `${name}.`, comments, [...path, at.nestedEnums, index]),
    ),
  ];
}

function enumSection(one: EnumDescriptorProto, prefix: string, comments: Comments, path: number[]): string[] {
  const rows = one.value.map(({ number, name }, index) => [
    String(number),
    `\`${name}\``,
    comments(...path, at.members, index),
  ]);
  return [`### enum ${prefix}${one.name}`, comments(...path), table(["no.", "value", "meaning"], rows)];
}

function typeOf(field: FieldDescriptorProto, message: DescriptorProto): string {
  const named = field.typeName === "" ? Type[field.type].toLowerCase() : simple(field.typeName);
  const entry = message.nestedType.find(
    ({ name, options }) => options?.mapEntry && field.typeName.endsWith(`.${name}`),
  );
  if (entry) {
    const [key, value] = entry.field.map((part) => typeOf(part, entry));
    return `map of ${key} to ${value}`;
  }
  if (field.label === Label.REPEATED) return `repeated ${named}`;
  if (field.proto3Optional) return `optional ${named}`;
  const oneof = field.oneofIndex === -1 ? undefined : message.oneofDecl[field.oneofIndex];
  const isInOneof = oneof !== undefined && Object.hasOwn(field, "oneofIndex");
  return isInOneof ? `${named}, one of \`${oneof.name}\`` : named;
}

/** The name of a type without our package. */
function simple(typeName: string): string {
  return typeName.replace(/^\.(bilancia\.v1\.)?/, "");
}

function commentsOf(file: FileDescriptorProto): Comments {
  const found = new Map(
    (file.sourceCodeInfo?.location ?? []).map(({ path, leadingComments }) => [path.join(), leadingComments]),
  );
  return (...path) =>
    (found.get(path.join()) ?? "")
      .split("\n")
      .map((line) => line.replace(/^ /, "").trimEnd())
      .join("\n")
      .trim();
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("\n\n", "<br>").replaceAll("\n", " ").replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

